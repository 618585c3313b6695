//! Tells administrators of the model of an event that counts now, if its price is unsure.

use crate::App;
use crate::in_force::read_configuration;
use shared::domain::ledger::flagged::FlaggedEvent;
use shared::domain::ledger::usage::Event;
use shared::domain::notice::unsure_price::UnsurePrice;
use shared::domain::pricing::book::PriceBooks;
use shared::runtime::error::ApiError;
use shared::store::KeyOwner;

/// Raises the alert about the model of `event`, once for its month. The event counts already: if
/// this fails, the same decision again repeats it.
pub(super) async fn alert(
    app: &App,
    owner: &KeyOwner,
    event: &FlaggedEvent,
) -> Result<(), ApiError> {
    let Event::LlmRequest(usage) = &event.event else {
        return Ok(());
    };
    let configuration = read_configuration(app, owner).await?;
    let Some(unsure) = UnsurePrice::of(&configuration, PriceBooks::built_in(), usage) else {
        return Ok(());
    };
    let now = app.clock.now();
    let raised = app
        .store
        .raise_unsure_alerts(&configuration, &[unsure], now)
        .await?;
    for told in raised {
        let organisation_id = &owner.organisation_id;
        app.notices
            .tell_or_leave(organisation_id, &told.notice_id)
            .await;
    }
    Ok(())
}
