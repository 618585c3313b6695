//! `roles`: prints which role may call which endpoint, as the functions decide it.

use shared::domain::org::people::Role;
use shared::runtime::endpoint::{Access, Endpoint};

use crate::output::say;

const ROLES: [Role; 4] = [Role::Admin, Role::Manager, Role::Member, Role::Agent];

pub(crate) fn run() {
    let endpoints = local::endpoints::all();
    let name = |endpoint: &Endpoint| format!("{} {}", endpoint.method, endpoint.path);
    let width = endpoints.iter().map(|endpoint| name(endpoint).len());
    let width = width.max().unwrap_or(0);
    let head: Vec<String> = ROLES
        .iter()
        .map(|role| format!("{:<8}", role.as_str()))
        .collect();
    say(&format!("{:width$}  {}operator", "", head.concat()));
    for endpoint in &endpoints {
        let marks: Vec<&str> = match endpoint.access {
            Access::Anybody => vec!["without a key"],
            Access::Operator => vec!["", "", "", "", "yes"],
            Access::Roles(roles) => ROLES
                .iter()
                .map(|role| match role {
                    role if !roles.contains(role) => "",
                    Role::Admin => "all",
                    Role::Manager => "managed",
                    Role::Member => "own",
                    Role::Agent => "users",
                })
                .collect(),
        };
        let marks: Vec<String> = marks.iter().map(|mark| format!("{mark:<8}")).collect();
        let line = format!("{:width$}  {}", name(endpoint), marks.concat());
        say(line.trim_end());
    }
    say("");
    say("all      everything of the organisation");
    say(
        "managed  themselves, their reports, and the departments they manage with all under them \
         and their users",
    );
    say("own      themselves");
    say("users    any user, by preflight, holds and events only");
    say("preflight, holds and events of a manager or member are for their own user");
    say("");
    say(
        "a key that is bound to a user does no more than its user's own role, and nothing while \
         the user is suspended",
    );
    say(
        "an administrator's key without a user does no more than an agent's while somebody who \
         made it is no active administrator",
    );
    let is_asked =
        |endpoint: &&Endpoint| endpoint.is_open_while_blocked && endpoint.method != "GET";
    let asks: Vec<String> = endpoints.iter().filter(is_asked).map(name).collect();
    say(&format!(
        "while its user is blocked, it reads what a member may, and may {}",
        asks.join(", ")
    ));
}
