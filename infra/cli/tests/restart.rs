//! The program: answered changes survive a `kill -9`, and Ctrl-C stops it cleanly.

#![expect(clippy::unwrap_used, reason = "a test fails loudly")]

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

struct Program {
    child: Child,
    address: String,
}

impl Program {
    /// Starts it on a free port and waits until it prints its address.
    fn start(data: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_toktra"))
            .args(["--empty", "--port", "0", "--data"])
            .arg(data)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = lines
            .find_map(|line| Some(line.unwrap().split_once("http://")?.1.trim().to_owned()))
            .unwrap();
        // Read the rest, so that the program never blocks on its output.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address }
    }

    fn call(&self, key: &str, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let body = body.to_string();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {key}\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            self.address,
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(body).unwrap_or(Value::Null))
    }

    fn admin(&self, method: &str, path: &str, body: &Value) -> Value {
        let (status, body) = self.call("tk_local_admin", method, path, body);
        assert!(
            (200..300).contains(&status),
            "{method} {path}: {status} {body}"
        );
        body
    }

    fn preflight(&self, request_id: usize) -> Value {
        let body = json!({
            "request_id": format!("r-{request_id}"), "user_id": "ada", "model": "gpt-4o",
            "input_tokens": 100, "max_output_tokens": 0,
        });
        self.call("tk_local_agent", "POST", "/v1/preflight", &body)
            .1
    }

    /// Kills it, like a crash.
    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn what_was_answered_before_a_crash_is_there_after_it() {
    let data = tempfile::tempdir().unwrap();
    let program = Program::start(data.path());
    program.admin(
        "POST",
        "/v1/departments",
        &json!({"id": "eng", "name": "Eng"}),
    );
    let user = json!({
        "id": "ada", "email": "ada@example.com", "name": "Ada", "department_id": "eng",
        "role": "member",
    });
    program.admin("POST", "/v1/users", &user);
    let budget = json!({
        "name": "b", "department_id": "eng", "unit": "tokens", "amount": 5_000, "hard_cap": true,
    });
    let budget = program.admin("POST", "/v1/budgets", &budget);
    let mut events = Vec::new();
    for n in 0..40 {
        let decision = program.preflight(n);
        assert_eq!(decision["decision"], "allow");
        let occurred_at = jiff::Timestamp::now().to_string();
        if n < 20 {
            events.push(json!({
                "event_id": format!("e-{n}"), "type": "llm_request",
                "occurred_at": occurred_at, "user_id": "ada", "provider": "openai",
                "model": "gpt-4o", "input_tokens": 100, "output_tokens": 0,
                "hold_id": decision["hold"]["id"],
            }));
        }
    }
    let (status, accepted) = program.call(
        "tk_local_agent",
        "POST",
        "/v1/events",
        &json!({ "events": events }),
    );
    assert_eq!((status, &accepted["accepted"]), (202, &json!(20)));
    program.kill();

    let program = Program::start(data.path());
    program.admin("POST", "/local/drain", &json!({}));
    let path = format!("/v1/budgets/{}", budget["id"].as_str().unwrap());
    let after = program.admin("GET", &path, &Value::Null);
    assert_eq!(
        (&after["spent"], &after["held"]),
        (&json!(2_000), &json!(2_000)),
        "{after}"
    );
    let admitted = (100..200)
        .filter(|n| program.preflight(*n)["decision"] == "allow")
        .count();
    assert_eq!(admitted, 10, "exactly the rest");
}

#[cfg(unix)]
#[test]
fn ctrl_c_stops_it_with_success() {
    let data = tempfile::tempdir().unwrap();
    let mut program = Program::start(data.path());
    let id = program.child.id().to_string();
    let sent = Command::new("kill").args(["-INT", &id]).status().unwrap();
    assert!(sent.success());
    assert!(program.child.wait().unwrap().success());
}
