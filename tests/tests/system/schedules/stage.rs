//! Lets actors go on one call of the database at a time: all wait at their next call, one of the calls is chosen and takes
//! effect, and so on. Nothing that depends on time decides: whoever sleeps until they try again is waited for.

use super::company::{Company, Outcome};
use super::laws::Laws;
use super::scenario::{Scenario, Script};
use super::search::{Chooser, Fate};
use futures::FutureExt;
use futures::future::LocalBoxFuture;
use local::dynamodb::{ACTOR, Call, Schedule};
use std::future::poll_fn;
use std::task::Poll;
use std::time::{Duration, Instant};

/// After so many looks without a new call each call has come that comes before one is chosen: an actor may make several at once.
const QUIET: u32 = 4;
/// Longer than anybody sleeps: then a run has no end.
const STUCK: Duration = Duration::from_secs(60);

struct Actor<'a> {
    script: Script,
    /// What is left to do.
    work: Option<LocalBoxFuture<'a, Outcome>>,
    outcome: Option<Outcome>,
}

struct Stage<'a> {
    company: &'a Company,
    schedule: Schedule,
    actors: Vec<Actor<'a>>,
}

fn begin(company: &Company, number: usize, script: Script) -> LocalBoxFuture<'_, Outcome> {
    ACTOR.scope(number, company.act(script)).boxed_local()
}

/// Lets the actors of a scenario act until all are done; what each was told. `laws` sees what each call has done.
pub(super) async fn perform(
    company: &Company,
    scenario: &Scenario,
    chooser: &mut Chooser,
    laws: &mut Laws<'_>,
) -> Vec<Outcome> {
    let mut stage = Stage::new(company, scenario.scripts);
    let mut last: Option<Call> = None;
    loop {
        let done = stage.settle().await;
        if let Some(call) = last.take() {
            laws.see(&call, scenario.scripts[call.actor]).await;
        }
        for outcome in done {
            laws.answered(&outcome).await;
        }
        let calls = stage.schedule.waiting();
        if calls.is_empty() {
            return stage.outcomes();
        }
        let (fate, call) = chooser.choose(&calls);
        stage.let_go(fate, &call).await;
        last = (fate != Fate::DiesBefore).then_some(call);
    }
}

impl<'a> Stage<'a> {
    fn new(company: &'a Company, scripts: &[Script]) -> Self {
        let actors = scripts.iter().enumerate().map(|(number, script)| Actor {
            script: *script,
            work: Some(begin(company, number, *script)),
            outcome: None,
        });
        Self {
            company,
            schedule: company.world.system.engine().schedule(),
            actors: actors.collect(),
        }
    }

    /// Lets everybody go on who can. What those were told who are done by that.
    async fn look(&mut self) -> Vec<Outcome> {
        let mut done = Vec::new();
        poll_fn(|context| {
            for actor in &mut self.actors {
                let Some(work) = &mut actor.work else {
                    continue;
                };
                if let Poll::Ready(outcome) = work.poll_unpin(context) {
                    actor.work = None;
                    actor.outcome = Some(outcome.clone());
                    done.push(outcome);
                }
            }
            Poll::Ready(())
        })
        .await;
        tokio::task::yield_now().await;
        done
    }

    /// Returns when each of the actors waits at a call or is done; what those were told who are done now.
    async fn settle(&mut self) -> Vec<Outcome> {
        let mut done = Vec::new();
        let (mut quiet, mut come) = (0, 0);
        let began = Instant::now();
        while quiet < QUIET {
            done.extend(self.look().await);
            let waiting = self.schedule.actors();
            let mut actors = self.actors.iter().enumerate();
            let all_wait =
                actors.all(|(number, actor)| actor.work.is_none() || waiting.contains(&number));
            let before = std::mem::replace(&mut come, self.schedule.come());
            quiet = match all_wait && come == before {
                true => quiet + 1,
                false => 0,
            };
            assert!(began.elapsed() < STUCK, "somebody neither calls nor ends");
        }
        done
    }

    /// Lets a call go on that waits, or lets its caller die there.
    async fn let_go(&mut self, fate: Fate, call: &Call) {
        match fate {
            Fate::Answered => assert!(self.schedule.go(call.number), "{call:?} waits"),
            Fate::DiesBefore => self.begin_again(call.actor),
            Fate::DiesAfter => {
                let mut effect = self.schedule.lose(call.number);
                while !effect.is_over() {
                    let done = self.look().await;
                    assert!(done.is_empty(), "nobody else was chosen: {done:?}");
                }
                self.begin_again(call.actor);
            }
        }
    }

    /// An actor is no more, and another one does the same from its beginning.
    fn begin_again(&mut self, number: usize) {
        let actor = &mut self.actors[number];
        actor.work = Some(begin(self.company, number, actor.script));
    }

    fn outcomes(self) -> Vec<Outcome> {
        let outcomes = self.actors.into_iter().map(|actor| actor.outcome);
        outcomes.map(Option::unwrap).collect()
    }
}
