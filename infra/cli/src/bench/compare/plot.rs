//! Draws three panels: the overshoot near the cap, the write units by depth, and the durable holds
//! a second.

use super::design::Kind;
use super::measure::Figures;
use super::report::holds_a_second;
use super::runs::Load;
use super::tables::{Row, Tables};
use std::fmt::Write as _;

const WIDTH: u64 = 300;
const HEIGHT: u64 = 200;
const MARGIN: u64 = 55;
/// The height of the legend.
const LEGEND: u64 = 80;
const LEGEND_COLUMNS: u64 = 3;
/// The least value at the top of an axis.
const LEAST_TOP: u64 = 4;

const KINDS: [(Kind, &str); 8] = [
    (Kind::ON_ENGINE[0], "#1f5fbf"),
    (Kind::ON_ENGINE[1], "#4fa3e0"),
    (Kind::ON_ENGINE[2], "#7fd0d0"),
    (Kind::ReadThenAdd, "#bf3f1f"),
    (Kind::Transaction, "#2f8f4f"),
    (Kind::Parallel, "#c58a00"),
    (Kind::ON_POSTGRES[0], "#8a5fbf"),
    (Kind::ON_POSTGRES[1], "#555555"),
];

/// One panel: the points on the axis, and a line for each design that was measured.
struct Panel {
    title: &'static str,
    axis: Vec<String>,
    lines: Vec<(&'static str, Vec<u64>)>,
}

impl Panel {
    fn new(
        title: &'static str,
        rows: &[&Row],
        label: impl Fn(&Load) -> String,
        value: impl Fn(&Load, &Figures) -> u64,
    ) -> Self {
        let line = |kind: Kind| -> Option<Vec<u64>> {
            let values = rows.iter().map(|row| {
                let (_, figures) = row.figures.iter().find(|(of, _)| *of == kind)?;
                Some(value(&row.load, figures))
            });
            let values: Option<Vec<u64>> = values.collect();
            values.filter(|values| !values.is_empty())
        };
        let lines = KINDS
            .iter()
            .filter_map(|(kind, colour)| Some((*colour, line(*kind)?)));
        Self {
            title,
            axis: rows.iter().map(|row| label(&row.load)).collect(),
            lines: lines.collect(),
        }
    }

    fn draw(&self, out: &mut String, left: u64) {
        let bottom = HEIGHT + MARGIN;
        let values = self.lines.iter().flat_map(|(_, values)| values);
        let top = values.copied().max().unwrap_or(0).max(LEAST_TOP);
        let count = self.axis.len().saturating_sub(1).max(1);
        let steps = u64::try_from(count).unwrap_or(1);
        let _ = writeln!(
            out,
            "<text x=\"{left}\" y=\"{}\" font-weight=\"bold\">{}</text>\n\
             <path d=\"M{left} {MARGIN}V{bottom}H{}\" fill=\"none\" stroke=\"#888\"/>",
            MARGIN - 14,
            self.title,
            left + WIDTH
        );
        for value in (0..=4_u64).map(|tick| top * tick / 4) {
            let y = bottom - value * HEIGHT / top + 4;
            let x = left - 6;
            let _ = writeln!(
                out,
                "<text x=\"{x}\" y=\"{y}\" text-anchor=\"end\">{value}</text>"
            );
        }
        for (n, label) in (0_u64..).zip(&self.axis) {
            let (x, y) = (left + n * WIDTH / steps, bottom + 16);
            let _ = writeln!(
                out,
                "<text x=\"{x}\" y=\"{y}\" text-anchor=\"middle\">{label}</text>"
            );
        }
        for (colour, values) in &self.lines {
            let mut points = String::new();
            for (n, value) in (0_u64..).zip(values) {
                let (x, y) = (left + n * WIDTH / steps, bottom - value * HEIGHT / top);
                let _ = write!(points, "{x},{y} ");
            }
            let _ = writeln!(
                out,
                "<polyline points=\"{points}\" fill=\"none\" stroke=\"{colour}\" \
                 stroke-width=\"2\"/>"
            );
        }
    }
}

pub(super) fn svg(tables: &Tables) -> String {
    let rows = |fits: fn(&Load) -> bool| -> Vec<&Row> {
        let rows = tables.in_memory.iter();
        rows.filter(|row| fits(&row.load)).collect()
    };
    let near = rows(|load| load.fits.is_some());
    let mut by_depth = rows(|load| load.fits.is_none() && load.at_once == 64 && load.users == 100);
    by_depth.sort_by_key(|row| row.load.depth);
    let durable: Vec<&Row> = tables.durable.iter().collect();
    let at_once = |load: &Load| format!("{} at once", load.at_once);
    let panels = [
        Panel::new("holds beyond the cap", &near, at_once, |load, figures| {
            u64::from(figures.admitted.saturating_sub(load.expected()))
        }),
        Panel::new(
            "write units of a hold",
            &by_depth,
            |load| format!("depth {}", load.depth),
            |_, figures| {
                let units = figures.write_units_tenths.unwrap_or(0);
                units / 10 / u64::from(figures.admitted.max(1))
            },
        ),
        Panel::new("durable holds a second", &durable, at_once, |_, figures| {
            holds_a_second(figures)
        }),
    ];
    let panel_width = WIDTH + 2 * MARGIN;
    let mut out = String::new();
    let _ = writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>",
        3 * panel_width,
        HEIGHT + 2 * MARGIN + LEGEND
    );
    for (place, panel) in (0_u64..).zip(&panels) {
        panel.draw(&mut out, place * panel_width + MARGIN);
    }
    for (place, (kind, colour)) in (0_u64..).zip(KINDS) {
        let x = MARGIN + place % LEGEND_COLUMNS * panel_width;
        let y = HEIGHT + 2 * MARGIN + place / LEGEND_COLUMNS * 20;
        let _ = writeln!(
            out,
            "<path d=\"M{x} {y}h20\" stroke=\"{colour}\" stroke-width=\"2\"/>\n\
             <text x=\"{}\" y=\"{}\">{}</text>",
            x + 26,
            y + 4,
            kind.name()
        );
    }
    out.push_str("</svg>\n");
    out
}
