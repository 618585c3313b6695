//! Wrong preflights, holds and batches.

use super::company::Company;

pub(super) const TABLE: &str = r#"
POST /v1/preflight {"request_id": "r-new", "user_id": "ada", "model": "gpt-4o", "input_tokens": 0}
  -request_id ; -user_id ; -model ; -input_tokens ; surprise=1 => 400 request_id user_id model input_tokens surprise
  request_id=null ; user_id=null ; model=null ; input_tokens=null => 400 request_id user_id model input_tokens
  request_id="" => 400 request_id
  request_id="a b" => 400 request_id
  request_id="<a129>" => 400 request_id
  request_id=5 => 400 request_id
  request_id="r-live" => 409
  user_id="a b" => 400 user_id
  user_id="<a129>" => 400 user_id
  model="" => 400 model
  model="<a201>" => 400 model
  model=4 => 400 model
  provider="<a101>" => 400 provider
  provider=["openai"] => 400 provider
  -input_tokens => 400 input_tokens
  input_bytes=5 => 400 input_bytes
  input_tokens=-1 => 400 input_tokens
  input_tokens=0.5 => 400 input_tokens
  input_tokens="5" => 400 input_tokens
  input_tokens=1e400 => 400 input_tokens
  input_tokens=1000000001 => 400 input_tokens
  input_tokens=1000000000000000000000000000000 => 400 input_tokens
  -input_tokens ; input_bytes=-1 => 400 input_bytes
  -input_tokens ; input_bytes=4000000001 => 400 input_bytes
  -input_tokens ; input_bytes=null => 400 input_bytes
  max_output_tokens=-1 => 400 max_output_tokens
  max_output_tokens=1e400 => 400 max_output_tokens
  max_output_tokens="all" => 400 max_output_tokens
  cached_input_tokens=1 => 400 cached_input_tokens
  input_tokens=9 ; cache_write_tokens=5 ; cache_write_1h_tokens=5 => 400 cache_write_1h_tokens
  input_tokens=9 ; audio_input_tokens=-1 ; image_input_tokens=10 => 400 audio_input_tokens image_input_tokens
  input_tokens=9 ; cached_input_tokens=3 ; cached_audio_input_tokens=4 => 400 cached_audio_input_tokens
  -input_tokens ; input_bytes=9 ; cached_input_tokens=1 ; audio_input_tokens=1 => 400 audio_input_tokens cached_input_tokens
  max_output_tokens=9 ; reasoning_tokens=5 ; audio_output_tokens=5 => 400 audio_output_tokens
  reasoning_tokens=1 => 400 reasoning_tokens
  service_tier="standard" => 400 service_tier
  operation="image" => 400 operation
  cost_usd=-1 => 400 cost_usd
  cost_usd="1" => 400 cost_usd
  requests=0 => 400 requests
  requests=101 => 400 requests
  requests=1.5 => 400 requests
  requests="5" => 400 requests
  request_id="r-live" ; requests=1 => 409
  images=5 => 400 images
  images=[{}] => 400 images[0].width
  images=[{"height":5}] => 400 images[0].width
  images=[{"bytes":5,"width":5,"height":5}] => 400 images[0].bytes
  images=[{"bytes":1000000001}] => 400 images[0].bytes
  images=[{"bytes":5}] ; input_tokens=5 ; image_input_tokens=5 => 400 image_input_tokens
  usage={"prompt_tokens":5} => 400 usage
  tags=[""] ; metadata={"run":null} => 400 metadata tags
  prompt="a secret" ; messages=[] => 400 messages prompt
PATCH /v1/holds/<hold> {}
  /v1/holds/nothing => 404
  /v1/holds/<their_hold> => 404
  /v1/holds/hold_202611_AAAAAAAAAAAAAAAA_AAAAAAAAAA => 404
  /v1/holds/<a2100> => 404
  surprise=1 => 400 surprise
  extend_seconds=null ; tokens=null => 400 extend_seconds tokens
  extend_seconds=0 => 400 extend_seconds
  extend_seconds=-1 => 400 extend_seconds
  extend_seconds=1.5 => 400 extend_seconds
  extend_seconds="60" => 400 extend_seconds
  extend_seconds=86401 => 400 extend_seconds
  extend_seconds=1000000000000000000000000000000 => 400 extend_seconds
  tokens=0 => 400 tokens
  tokens=-5 => 400 tokens
  tokens=1e3 => 400 tokens
  tokens=[1] => 400 tokens
  tokens=1000000001 => 400 tokens
  tokens="x" ; extend_seconds={} => 400 extend_seconds tokens
DELETE /v1/holds/<hold>
  /v1/holds/nothing => 404
  /v1/holds/<their_hold> => 404
  /v1/holds/hold_202611_AAAAAAAAAAAAAAAA_AAAAAAAAAA => 404
  /v1/holds/hold_209913_AAAAAAAAAAAAAAAA_AAAAAAAAAA => 404
  /v1/holds/<hold>?lease=yes => 400 lease
  /v1/holds/<hold>?leases=true => 400 leases
  /v1/holds/<their_hold>?lease=true => 404
  /v1/holds/<a2100> => 404
POST /v1/events {"events": [{"event_id": "e-7", "type": "llm_request", "occurred_at": "2026-11-23T12:00:00Z", "user_id": "ada", "provider": "openai", "model": "gpt-4o", "input_tokens": 0, "output_tokens": 0}]}
  -events => 400 events
  events=null => 400 events
  events=[] => 400 events
  events={} => 400 events
  events="[]" => 400 events
  events=[] ; event=1 => 400 event events
"#;

#[tokio::test]
async fn wrong_preflights_holds_and_batches_are_refused() {
    Company::new().await.refuses(TABLE).await;
}
