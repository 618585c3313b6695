//! The layout around the letters of a mail: a subject, a plain text and a page with placeholders.

/// The longest layout of one part, in characters.
const MAX_LENGTH: usize = 2_000;
const TEXT: &str = include_str!("../../../data/mail/mail.txt");
const HTML: &str = include_str!("../../../data/mail/mail.html");

/// The layout of all mails of a deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    subject: String,
    text: String,
    html: String,
}

/// Why a layout is rejected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// A required placeholder is missing.
    #[error("the layout of the {part} has no {place}")]
    Lacks {
        /// `subject`, `text` or `page`.
        part: &'static str,
        place: &'static str,
    },
    /// The part is too long.
    #[error("the layout of the {0} has more than {MAX_LENGTH} characters")]
    TooLong(&'static str),
}

impl Default for Layout {
    fn default() -> Self {
        Self {
            subject: "{subject}".to_owned(),
            text: TEXT.to_owned(),
            html: HTML.trim_end().to_owned(),
        }
    }
}

impl Layout {
    /// Replaces parts of the default layout. A subject needs `{subject}`. Text and page need
    /// `{letters}` and may have `{name}`. In a text `\n` is a line break, because a parameter has
    /// one line.
    pub fn new([subject, text, html]: [Option<String>; 3]) -> Result<Self, LayoutError> {
        let usual = Self::default();
        let checked = |part, given: Option<String>, usual: String, place: &'static str| {
            let layout = given.unwrap_or(usual);
            if layout.chars().count() > MAX_LENGTH {
                return Err(LayoutError::TooLong(part));
            }
            match layout.contains(place) {
                true => Ok(layout),
                false => Err(LayoutError::Lacks { part, place }),
            }
        };
        let text = text.map(|text| text.replace("\\n", "\n"));
        Ok(Self {
            subject: checked("subject", subject, usual.subject, "{subject}")?,
            text: checked("text", text, usual.text, "{letters}")?,
            html: checked("page", html, usual.html, "{letters}")?,
        })
    }

    pub(super) fn subject(&self, subject: &str) -> String {
        filled(&self.subject, &[("{subject}", subject)])
    }

    pub(super) fn text(&self, name: &str, letters: &str) -> String {
        filled(&self.text, &[("{name}", name), ("{letters}", letters)])
    }

    /// `name` and `letters` must be escaped already: they are inserted as markup.
    pub(super) fn html(&self, name: &str, letters: &str) -> String {
        filled(&self.html, &[("{name}", name), ("{letters}", letters)])
    }
}

/// Fills the placeholders of a layout. Inserted text is not searched for placeholders.
fn filled(layout: &str, places: &[(&str, &str)]) -> String {
    let mut out = String::with_capacity(layout.len());
    let mut rest = layout;
    while let Some(at) = rest.find('{') {
        let (before, after) = rest.split_at(at);
        out.push_str(before);
        let place = places.iter().find(|(place, _)| after.starts_with(place));
        let (filling, length) = place.map_or(("{", 1), |(place, value)| (*value, place.len()));
        out.push_str(filling);
        rest = after.get(length..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(part: usize, layout: &str) -> Result<Layout, LayoutError> {
        let mut parts = [None, None, None];
        parts[part] = Some(layout.to_owned());
        Layout::new(parts)
    }

    #[test]
    fn each_part_can_be_another_one() {
        let subject = of(0, "[LLM] {subject}").unwrap();
        assert_eq!(subject.subject("80 % are used"), "[LLM] 80 % are used");
        let text = of(1, r"Dear {name},\n{letters}\nAsk it@example.com").unwrap();
        assert_eq!(
            text.text("Ada", "One."),
            "Dear Ada,\nOne.\nAsk it@example.com"
        );
        let html = of(2, "<style>p {margin: 0}</style><p>{name}</p>{letters}").unwrap();
        assert_eq!(
            html.html("Ada", "<p>One.</p>"),
            "<style>p {margin: 0}</style><p>Ada</p><p>One.</p>"
        );
        assert_eq!(html.subject("x"), "x", "the others are as usual");
    }

    #[test]
    fn one_without_a_place_for_the_letters_is_refused() {
        let lacks = |part, place| Err(LayoutError::Lacks { part, place });
        assert_eq!(of(0, "News"), lacks("subject", "{subject}"));
        assert_eq!(of(1, "Hello {name}"), lacks("text", "{letters}"));
        assert_eq!(of(2, ""), lacks("page", "{letters}"));
        let long = format!("{}{{letters}}", "a".repeat(MAX_LENGTH));
        assert_eq!(of(1, &long), Err(LayoutError::TooLong("text")));
    }

    #[test]
    fn what_is_filled_in_is_not_filled_again() {
        let layout = Layout::default();
        let text = layout.text("{letters}", "{name} {subject}");
        assert_eq!(text, "Hello {letters},\n{name} {subject}\nToktra\n");
    }

    #[test]
    fn its_length_is_counted_in_characters() {
        let filling = MAX_LENGTH - "{letters}".len();
        let layout = |characters| format!("{}{{letters}}", "ä".repeat(characters));
        assert!(of(1, &layout(filling)).is_ok());
        let long = of(1, &layout(filling + 1));
        assert_eq!(long, Err(LayoutError::TooLong("text")));
    }
}
