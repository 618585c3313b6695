//! Warnings as JSON.

use serde::Serialize;
use shared::domain::ledger::warning::Warning;

#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum WarningBody<'a> {
    SoftCap {
        code: &'static str,
        budget_id: &'a str,
        department_id: Option<&'a str>,
        used_percent: i64,
    },
    Unpriced {
        code: &'static str,
        model: &'a str,
        message: &'static str,
    },
    NotHeld {
        code: &'static str,
        message: &'a str,
    },
}

pub(crate) fn warning(warning: &Warning) -> WarningBody<'_> {
    match warning {
        Warning::SoftCapExceeded {
            budget_id,
            department_id,
            used_percent,
        } => WarningBody::SoftCap {
            code: "soft_cap_exceeded",
            budget_id,
            department_id: department_id.as_deref(),
            used_percent: *used_percent,
        },
        Warning::Unpriced {
            model,
            is_estimated,
        } => WarningBody::Unpriced {
            code: "unpriced",
            model,
            message: match is_estimated {
                true => {
                    "the model has no known price: it is held and charged at the dearest price of \
                     its provider"
                }
                false => {
                    "the model has no known price: it counts in tokens only, and no budget in US \
                     dollars sees it"
                }
            },
        },
        Warning::NotHeld { code, message } => WarningBody::NotHeld { code, message },
    }
}
