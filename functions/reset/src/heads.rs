//! The daily head of each audit log. The entries of the day are walked from the last head. The new
//! head is signed, stored and sent out, so that a copy exists out of reach of a writer of the
//! tables.
//!
//! A head is the same whenever it is made, so a pass may stop anywhere. Its row and its notice are
//! one transaction, done once a day. If the notice reached no queue, a later pass finds it. The
//! bucket is tried again until it has the head.

use super::App;
use super::signing::{NotSigned, Signer};
use jiff::Timestamp;
use shared::domain::org::audit::{Break, KeptHead};
use shared::domain::org::audit_head::{AuditHead, DayOver};
use shared::runtime::logs::{ErrorType, report};
use shared::store::{StoreError, new_id};
use std::time::Instant;

/// Why a head was not made.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("the store failed")]
    Store(#[from] StoreError),
    #[error(transparent)]
    Signature(#[from] NotSigned),
}

/// Makes the head of the last day that is over, if that day has entries and no head yet. Returns
/// how many were made. If the log is broken, the administrators are alerted and no head is made.
pub(super) async fn sign_head(
    app: &App,
    organisation_id: &str,
    now: Timestamp,
    until: Instant,
) -> Result<u64, Failure> {
    let signer = app.heads.signer().await?;
    let newest = app.store.newest_audit_head(organisation_id).await?;
    if let Some(head) = &newest {
        archive(app, &signer, organisation_id, head).await?;
    }
    let Some(over) = DayOver::before(now) else {
        return Ok(0);
    };
    let before = newest.as_ref();
    if before.is_some_and(|head| head.day >= over.day) {
        return Ok(0);
    }
    if let Some(head) = before.filter(|head| !signer.has_signed(organisation_id, head)) {
        let message = "the head that the tables have of it is not signed with the deployment's key";
        let broken = Break {
            seq: head.seq,
            message: message.to_owned(),
        };
        notify_broken(app, organisation_id, &broken, now).await?;
    }
    let from = before.map(|head| KeptHead {
        seq: head.seq,
        hash: head.hash.clone(),
    });
    let walked = app
        .store
        .walk_audit_log(organisation_id, from.as_ref(), over.end, until)
        .await?;
    if let Some(broken) = &walked.broken {
        notify_broken(app, organisation_id, broken, now).await?;
        return Ok(0);
    }
    // A walk that ran out of time ends at a valid entry too. The walk of the next day goes on
    // there.
    let Some(at) = walked.walk.at else {
        return Ok(0);
    };
    let mut head = AuditHead {
        day: over.day,
        seq: walked.walk.seq,
        hash: walked.walk.hash,
        at,
        signed_head: String::new(),
        is_archived: false,
    };
    head.signed_head = signer.sign(organisation_id, &head)?;
    let was_made = store(app, &signer, organisation_id, &head, now).await?;
    archive(app, &signer, organisation_id, &head).await?;
    Ok(u64::from(was_made))
}

/// Stores a head and notifies administrators, webhooks and the bus. Returns false if that was done
/// before.
async fn store(
    app: &App,
    signer: &Signer,
    organisation_id: &str,
    head: &AuditHead,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let because = "you are an administrator";
    let recipients = app
        .store
        .administrator_recipients(organisation_id, because)
        .await?;
    let id = new_id("ntc_", now, 0)?;
    let notice = head.notice(id, signer.public_key(), recipients, now);
    let is_first = app.store.add_audit_head(organisation_id, head, &notice);
    if !is_first.await? {
        return Ok(false);
    }
    app.notices.tell_or_leave(organisation_id, &notice.id).await;
    Ok(true)
}

/// Puts a head into the bucket, if there is one that does not have it yet. If this fails, the next
/// pass tries again.
async fn archive(
    app: &App,
    signer: &Signer,
    organisation_id: &str,
    head: &AuditHead,
) -> Result<(), StoreError> {
    let Some(archive) = app.heads.archive.as_ref().filter(|_| !head.is_archived) else {
        return Ok(());
    };
    let name = format!("{organisation_id}/{}.json", head.day);
    let kept = head.kept(organisation_id, signer.public_key());
    if let Err(error) = archive.put(&name, kept.to_string()).await {
        let context = "a head of an audit log is left to the next pass";
        report(ErrorType::AuditHeadNotKept, context, &error);
        return Ok(());
    }
    let archived = AuditHead {
        is_archived: true,
        ..head.clone()
    };
    app.store.set_audit_head(organisation_id, &archived).await
}

/// Logs that an audit log is broken, and notifies the administrators once.
async fn notify_broken(
    app: &App,
    organisation_id: &str,
    broken: &Break,
    now: Timestamp,
) -> Result<(), StoreError> {
    tracing::error!(
        error_type = ErrorType::AuditLogBroken.as_str(),
        organisation = organisation_id,
        seq = broken.seq,
        message = broken.message,
        "the audit log does not hold"
    );
    let told = app
        .store
        .raise_broken_log_alert(organisation_id, broken, now);
    if let Some(told) = told.await? {
        app.notices
            .tell_or_leave(organisation_id, &told.notice_id)
            .await;
    }
    Ok(())
}
