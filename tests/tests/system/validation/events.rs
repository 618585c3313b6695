//! Wrong events, each rejected by itself.

use super::company::Company;
use super::is_refusal;
use super::table::sections;
use end_to_end::AGENT;
use serde_json::json;
use std::collections::BTreeSet;

const TABLE: &str = r#"
EVENT llm_request {"event_id": "e-1", "type": "llm_request", "occurred_at": "2026-11-23T12:00:00Z", "user_id": "ada", "provider": "openai", "model": "gpt-4o", "input_tokens": 0, "output_tokens": 0}
  -event_id ; -type ; -occurred_at => bad_request event_id type occurred_at
  -user_id ; -provider ; -model => bad_request user_id provider model
  -input_tokens ; -output_tokens => bad_request input_tokens output_tokens
  input_tokens=null => bad_request input_tokens
  event_id="" => bad_request event_id
  event_id="a b" => bad_request event_id
  event_id="<a129>" => bad_request event_id
  event_id=null => bad_request event_id
  event_id="github-1" => bad_request event_id
  type="embedding" => bad_request type
  type=5 => bad_request type
  occurred_at="2026-11-23T12:05:01Z" => bad_request occurred_at
  occurred_at="2025-10-20T12:00:00Z" => bad_request occurred_at
  occurred_at="now" => bad_request occurred_at
  occurred_at=1763899200 => bad_request occurred_at
  user_id="a b" => bad_request user_id
  user_id="nobody" => unknown_user
  user_id="thea" => unknown_user
  provider="<a101>" ; model="<a201>" => bad_request provider model
  input_tokens=-1 ; output_tokens=-1 => bad_request input_tokens output_tokens
  input_tokens=1e400 => bad_request input_tokens
  output_tokens=1000000000000000000000000000000 => bad_request output_tokens
  output_tokens="5" => bad_request output_tokens
  cached_input_tokens=1 => bad_request cached_input_tokens
  cached_input_tokens=-1 => bad_request cached_input_tokens
  input_tokens=9 ; cached_input_tokens=3 ; cache_write_tokens=2 ; cache_write_1h_tokens=2 ; audio_input_tokens=1 ; image_input_tokens=2 => bad_request image_input_tokens
  input_tokens=9 ; cached_input_tokens=5 ; cache_write_tokens=5 => bad_request cache_write_tokens
  input_tokens=9 ; cache_write_1h_tokens=10 => bad_request cache_write_1h_tokens
  input_tokens=9 ; cached_input_tokens=3 ; cached_audio_input_tokens=4 => bad_request cached_audio_input_tokens
  cached_audio_input_tokens=-1 => bad_request cached_audio_input_tokens
  input_tokens=9 ; audio_input_tokens="5" ; image_input_tokens=1.5 => bad_request audio_input_tokens image_input_tokens
  output_tokens=9 ; reasoning_tokens=10 => bad_request reasoning_tokens
  output_tokens=9 ; reasoning_tokens=5 ; audio_output_tokens=5 => bad_request audio_output_tokens
  -output_tokens ; outcome="failed" ; reasoning_tokens=1 => bad_request reasoning_tokens
  -input_tokens ; -output_tokens ; operation="embedding" => bad_request input_tokens
  service_tier="standard" => bad_request service_tier
  service_tier=1 => bad_request service_tier
  cost_usd=-0.1 => bad_request cost_usd
  cost_usd=1000000.1 => bad_request cost_usd
  cost_usd="0.1" => bad_request cost_usd
  images={} => bad_request images
  images=[5] => bad_request images[0]
  images=[{}] => bad_request images[0].width
  images=[{"width":5}] => bad_request images[0].height
  images=[{"width":0,"height":100001}] => bad_request images[0].width images[0].height
  images=[{"bytes":0}] => bad_request images[0].bytes
  images=[{"bytes":5,"url":"x"}] => bad_request images[0].url
  images=[{"bytes":5}] ; input_tokens=7 ; image_input_tokens=7 => bad_request image_input_tokens
  usage={"prompt_tokens":5,"completion_tokens":2} => bad_request input_tokens output_tokens
  -input_tokens ; -output_tokens ; usage={"prompt_tokens":5,"completion_tokens":2} ; cached_input_tokens=1 ; images=[{"bytes":5}] => bad_request cached_input_tokens images
  -input_tokens ; -output_tokens ; usage=[] => bad_request usage
  -input_tokens ; -output_tokens ; usage={} => bad_request usage
  -input_tokens ; -output_tokens ; usage=null => bad_request input_tokens output_tokens
  -input_tokens ; -output_tokens ; usage={"prompt_tokens":5} => bad_request usage.completion_tokens
  -input_tokens ; -output_tokens ; usage={"prompt_tokens":5,"completion_tokens":2,"output_tokens":2} => bad_request usage.output_tokens
  -input_tokens ; -output_tokens ; usage={"prompt_tokens":5,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":6}} => bad_request usage.prompt_tokens_details.cached_tokens
  -input_tokens ; -output_tokens ; usage={"input_tokens":"5","output_tokens":2} => bad_request usage.input_tokens
  -input_tokens ; -output_tokens ; usage={"prompt_tokens":5,"completion_tokens":2} ; cached_audio_input_tokens=0 => bad_request cached_audio_input_tokens
  -input_tokens ; -output_tokens ; usage={"input_tokens":5,"output_tokens":2,"total_tokens":8} => bad_request usage.total_tokens
  -input_tokens ; -output_tokens ; usage={"inputTokens":5,"outputTokens":2,"totalTokens":8} => bad_request usage.totalTokens
  -input_tokens ; -output_tokens ; usage={"promptTokenCount":5,"candidatesTokenCount":2,"thoughtsTokenCount":3,"totalTokenCount":99} => bad_request usage.totalTokenCount
  -input_tokens ; -output_tokens ; usage={"input_tokens":5,"output_tokens":2,"cache_creation_input_tokens":9,"cache_creation":{"ephemeral_5m_input_tokens":3,"ephemeral_1h_input_tokens":4}} => bad_request usage.cache_creation
  -input_tokens ; -output_tokens ; usage={"input_tokens":5,"output_tokens":2,"service_tier":"batch"} ; service_tier="flex" => bad_request service_tier
  outcome="ok" => bad_request outcome
  operation="image" => bad_request operation
  hold_id="nothing" => bad_request hold_id
  hold_id=5 => bad_request hold_id
  hold_id="<their_hold>" => bad_request hold_id
  user_id="bob" ; hold_id="<hold>" => bad_request hold_id
  source="<a101>" => bad_request source
  tags="nightly" ; metadata=["a"] => bad_request metadata tags
  tags=["<a101>"] => bad_request tags
  tags=[5] ; metadata={"run":7} => bad_request metadata tags
  metadata={"a b":"x"} => bad_request metadata
  metadata={"prompt":"<a201>"} => bad_request metadata
  prompt="a secret" ; risk_level="low" => bad_request prompt risk_level
EVENT ip_risk {"event_id": "e-2", "type": "ip_risk", "occurred_at": "2026-11-23T12:00:00Z", "risk_level": "low", "summary": "a leak"}
  -risk_level ; -summary => bad_request risk_level summary
  risk_level="extreme" => bad_request risk_level
  risk_level=null => bad_request risk_level
  summary="" => bad_request summary
  summary="<a2001>" => bad_request summary
  repository="<a301>" => bad_request repository
  user_id="a b" => bad_request user_id
  user_id="thea" => unknown_user
  model="gpt-4o" => bad_request model
"#;

#[tokio::test]
async fn wrong_events_are_rejected_one_by_one_and_their_neighbour_is_accepted() {
    let company = Company::new().await;
    let before = company.snapshot().await;
    let mut faults = Vec::new();
    for section in sections(TABLE, &company.ids) {
        for line in &section.wrong {
            let body = format!(r#"{{"events": [{}]}}"#, line.json());
            let answer = company
                .world
                .raw(AGENT, "POST", "/v1/events", &[], body)
                .await
                .expect(400);
            let rejected = &answer["rejected"][0];
            let details = rejected["details"].as_array().unwrap();
            let prefix = "events[0].";
            let named: BTreeSet<String> = details
                .iter()
                .map(|detail| detail["field"].as_str().unwrap().replace(prefix, ""))
                .collect();
            let is_rejected = answer["accepted"] == 0
                && rejected["index"] == 0
                && rejected["error"] == line.expected
                && rejected["message"]
                    .as_str()
                    .is_some_and(|message| !message.is_empty())
                && named == line.fields;
            if !is_rejected {
                faults.push(format!("{}: {answer}", line.text));
            }
        }
        let pair = format!(r#"{{"events": [{}, 5]}}"#, section.right.json());
        assert_eq!(
            company.snapshot().await,
            before,
            "nothing was queued or counted"
        );
        let answer = company
            .world
            .raw(AGENT, "POST", "/v1/events", &[], pair)
            .await
            .expect(202);
        assert_eq!(
            (&answer["accepted"], &answer["rejected"][0]["index"]),
            (&json!(1), &json!(1)),
            "{answer}"
        );
        company.world.system.drain().await.unwrap();
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[tokio::test]
async fn a_batch_has_one_to_five_hundred_events() {
    let company = Company::new().await;
    let event = |n: usize| company.world.usage(&format!("e-{n}"), "ada", 0, 0, None);
    let batch = |count: usize| json!({"events": (0..count).map(event).collect::<Vec<_>>()});
    let before = company.snapshot().await;
    let answer = company
        .world
        .call(AGENT, "POST", "/v1/events", batch(501))
        .await;
    is_refusal(&answer, 400, Some(&BTreeSet::from(["events".to_owned()]))).unwrap();
    assert_eq!(company.snapshot().await, before);
    let answer = company
        .world
        .call(AGENT, "POST", "/v1/events", batch(500))
        .await
        .expect(202);
    assert_eq!(
        answer,
        json!({"accepted": 500, "duplicates": 0, "rejected": [], "conflicts": []})
    );
}
