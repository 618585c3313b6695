//! Reads the conditions of a policy.

use shared::domain::amount::MAX_AMOUNT;
use shared::domain::policy::{Condition, Field, Op, Operand, Scalar, minute_of_day};
use shared::runtime::fields::Fields;
use shared::runtime::parse;
use shared::runtime::values::Model;

/// The most values that one condition compares with.
pub(crate) const MAX_VALUES: usize = 50;
pub(crate) const FIELDS: &[(&str, Option<Field>)] = &[
    ("risk_level", Some(Field::RiskLevel)),
    ("user_id", Some(Field::UserId)),
    ("department_id", Some(Field::DepartmentId)),
    ("token_count", Some(Field::TokenCount)),
    ("time_of_day", Some(Field::TimeOfDay)),
    ("model_id", Some(Field::ModelId)),
    ("model_allowed", Some(Field::ModelAllowed)),
];
const OPS: &[(&str, Option<Op>)] = &[
    ("eq", Some(Op::Eq)),
    ("eq_exact", Some(Op::EqExact)),
    ("ne", Some(Op::Ne)),
    ("in", Some(Op::In)),
    ("not_in", Some(Op::NotIn)),
    ("gt", Some(Op::Gt)),
    ("gte", Some(Op::Gte)),
    ("lt", Some(Op::Lt)),
    ("lte", Some(Op::Lte)),
    ("between", Some(Op::Between)),
    ("matches", Some(Op::Matches)),
];

pub(super) fn read_condition(fields: &mut Fields) -> Option<Condition> {
    let field = fields.required("field", parse::one_of(FIELDS));
    let op = fields.required("op", parse::one_of(OPS));
    let (Some(field), Some(op)) = (field, op) else {
        fields.ignore_rest();
        return None;
    };
    if !field.ops().contains(&op) {
        let names: Vec<&str> = field.ops().iter().map(|op| op.as_str()).collect();
        let (field, op) = (field.as_str(), op.as_str());
        let message = format!(
            "{op:?} cannot be used with {field}; use one of {}",
            names.join(", ")
        );
        fields.also_invalid("op", message);
        fields.ignore_rest();
        return None;
    }
    let value = fields.required("value", |raw| operand(field, op, raw).map(Some));
    Some(Condition {
        field,
        op,
        value: value?,
    })
}

fn operand(field: Field, op: Op, raw: &str) -> Result<Operand, String> {
    let several = |least, most| -> Result<Vec<Scalar>, String> {
        let values = parse::list(least, most)(raw)?;
        values.iter().map(|value| scalar(field, value)).collect()
    };
    match op {
        Op::In | Op::NotIn => Ok(Operand::Several(several(1, MAX_VALUES)?)),
        Op::Between => match several(2, 2)?.as_slice() {
            [Scalar::Minute(from), Scalar::Minute(to)] => {
                Ok(Operand::Range(Scalar::Minute(*from), Scalar::Minute(*to)))
            }
            [Scalar::Number(from), Scalar::Number(to)] if from <= to => {
                Ok(Operand::Range(Scalar::Number(*from), Scalar::Number(*to)))
            }
            [Scalar::Level(from), Scalar::Level(to)] if from <= to => {
                Ok(Operand::Range(Scalar::Level(*from), Scalar::Level(*to)))
            }
            _ => Err("must be two values, the lower one first".to_owned()),
        },
        _ => Ok(Operand::One(scalar(field, raw)?)),
    }
}

fn scalar(field: Field, raw: &str) -> Result<Scalar, String> {
    match field {
        Field::RiskLevel => parse::name(raw).map(Scalar::Level),
        Field::UserId => parse::user_id(raw).map(Scalar::Text),
        Field::DepartmentId => parse::slug(raw).map(Scalar::Text),
        Field::ModelId => Model::read(raw).map(Scalar::Text),
        Field::ModelAllowed => parse::boolean(raw).map(Scalar::Flag),
        Field::TokenCount => parse::whole(0, MAX_AMOUNT)(raw).map(Scalar::Number),
        Field::TimeOfDay => {
            let text = parse::text(raw)?;
            let minute = minute_of_day(&text).map(Scalar::Minute);
            minute.ok_or_else(|| "must be a time of day like 22:00".to_owned())
        }
    }
}
