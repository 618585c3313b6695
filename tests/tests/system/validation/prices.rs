//! Wrong prices, discounts and aliases.

use super::company::Company;
use serde_json::json;

pub(super) const TABLE: &str = r#"
GET /v1/prices?search=gpt&provider=openai&status=own
  /v1/prices?search= => 400 search
  /v1/prices?search=<a201> => 400 search
  /v1/prices?provider=<a101> => 400 provider
  /v1/prices?status=mine => 400 status
  /v1/prices?search=a&search=b => 400 search
  /v1/prices?model= => 400 model
  /v1/prices?model=<a201>&limit=0&cursor=x => 400 model limit cursor
  /v1/prices?models=x => 400 models
GET /v1/prices/openai/gpt-4o
  /v1/prices/openai/nothing => 404
  /v1/prices/<a101>/<a201> => 400 provider model
  /v1/prices/open%00ai/gpt-4o => 400 provider
PUT /v1/prices/openai/gpt-4o {"input_usd_per_million": 1.000001, "effective_from": null}
  -input_usd_per_million => 400 input_usd_per_million
  input_usd_per_million=null ; effective_from="2026-11-01T00:00:00Z" => 400 input_usd_per_million
  input_usd_per_million=-1 => 400 input_usd_per_million
  input_usd_per_million="1" => 400 input_usd_per_million
  input_usd_per_million=0.0000001 => 400 input_usd_per_million
  input_usd_per_million=1000001 => 400 input_usd_per_million
  output_usd_per_million=-1 => 400 output_usd_per_million
  cached_input_usd_per_million=-1 => 400 cached_input_usd_per_million
  reasoning_usd_per_million=-1 => 400 reasoning_usd_per_million
  audio_output_usd_per_million=-1 => 400 audio_output_usd_per_million
  cache_write_usd_per_million=true => 400 cache_write_usd_per_million
  cache_write_1h_usd_per_million=[] => 400 cache_write_1h_usd_per_million
  audio_input_usd_per_million=-1 => 400 audio_input_usd_per_million
  image_input_usd_per_million=-1 => 400 image_input_usd_per_million
  effective_from="2026-11-01" => 400 effective_from
  effective_from=5 => 400 effective_from
  surprise=1 => 400 surprise
  /v1/prices/open%20ai/<a201> => 400 model
  /v1/prices/own/ours => 409 output_usd_per_million
  If-Match: x => 400 If-Match
  If-Match: 7 => 409
DELETE /v1/prices/openai/gpt-4o
  /v1/prices/openai/nothing => 404
  /v1/prices/anthropic/gpt-4o => 404
  /v1/prices/<a101>/gpt-4o => 400 provider
  If-Match: 0 => 409
PUT /v1/prices {"provider": "openai", "model": "gpt-4o", "input_usd_per_million": 1.5}
  -provider ; -model => 400 provider model
  provider="" => 400 provider
  provider="<a101>" ; model="<a201>" => 400 provider model
  model=null => 400 model
  input_usd_per_million=-1 => 400 input_usd_per_million
  effective_from="soon" => 400 effective_from
  surprise=1 => 400 surprise
  provider="own" ; model="ours" => 409 output_usd_per_million
  If-Match: 7 => 409
DELETE /v1/prices?provider=openai&model=gpt-4o
  /v1/prices => 400 provider model
  /v1/prices?provider=&model=%00 => 400 provider model
  /v1/prices?provider=<a101>&model=<a201> => 400 provider model
  /v1/prices?provider=openai&model=gpt-4o&model=gpt-4o => 400 model
  /v1/prices?provider=openai&model=gpt-4o&surprise=1 => 400 surprise
  /v1/prices?provider=openai&model=nothing => 404
  If-Match: 0 => 409
GET /v1/prices/discounts
  /v1/prices/discounts?provider=openai => 400 provider
  /v1/prices/discounts?cursor=x => 400 cursor
PUT /v1/prices/discounts/openai {"percent": 12.5, "effective_from": null}
  -percent => 400 percent
  percent=null => 400 percent
  percent=100.01 => 400 percent
  percent=-1 => 400 percent
  percent=0.001 => 400 percent
  percent="5" => 400 percent
  effective_from="soon" => 400 effective_from
  surprise=1 => 400 surprise
  /v1/prices/discounts/<a101> => 400 provider
  If-Match: 7 => 409
DELETE /v1/prices/discounts/openai
  /v1/prices/discounts/nobody => 404
  /v1/prices/discounts/<a101> => 400 provider
  If-Match: 7 => 409
PUT /v1/prices/discounts {"provider": "openai", "percent": 12.5}
  -provider ; -percent => 400 provider percent
  provider="<a101>" => 400 provider
  percent=100.01 => 400 percent
  effective_from="soon" => 400 effective_from
  surprise=1 => 400 surprise
  If-Match: 7 => 409
DELETE /v1/prices/discounts?provider=openai
  /v1/prices/discounts => 400 provider
  /v1/prices/discounts?provider=<a101>&surprise=1 => 400 provider surprise
  /v1/prices/discounts?provider=nobody => 404
  If-Match: 7 => 409
POST /v1/prices/reprice {"from": "2026-11-23T00:00:00Z", "to": "2026-11-24T00:00:00Z"}
  -from ; -to => 400 from to
  from=null => 400 from
  from="2026-11-23" => 400 from
  to="soon" => 400 to
  to="2026-11-23T00:00:00Z" => 400 to
  to="2026-12-24T00:00:01Z" => 400 to
  from="2025-11-22T00:00:00Z" ; to="2025-11-23T00:00:00Z" => 409 from
  dry_run="yes" => 400 dry_run
  cursor="x" => 400 cursor
  surprise=1 => 400 surprise
  Idempotency-Key: <a256> => 400 Idempotency-Key
GET /v1/models/aliases
  /v1/models/aliases?name=x => 400 name
  /v1/models/aliases?limit=101 => 400 limit
PUT /v1/models/aliases {"name": "our-chat", "model": "gpt-4o", "provider": "azure"}
  -name ; -model => 400 name model
  name="" => 400 name
  name="<a201>" => 400 name
  model=null => 400 model
  model="<a201>" => 400 model
  model="our-CHAT" => 409 model
  provider="" => 400 provider
  provider="<a101>" => 400 provider
  effective_from="soon" => 400 effective_from
  surprise=1 => 400 surprise
  If-Match: 7 => 409
DELETE /v1/models/aliases/our-chat
  /v1/models/aliases/nothing => 404
  /v1/models/aliases/<a201> => 400 name
  If-Match: 7 => 409
DELETE /v1/models/aliases?name=spare
  /v1/models/aliases => 400 name
  /v1/models/aliases?name=<a201>&surprise=1 => 400 name surprise
  /v1/models/aliases?name=nothing => 404
  If-Match: 7 => 409
"#;

#[tokio::test]
async fn wrong_prices_are_refused() {
    let company = Company::new().await;
    for (path, body) in [
        (
            "/v1/prices/openai/gpt-4o",
            json!({"input_usd_per_million": 1}),
        ),
        ("/v1/prices/discounts/openai", json!({"percent": 5})),
        (
            "/v1/models/aliases",
            json!({"name": "our-chat", "model": "gpt-4o"}),
        ),
        (
            "/v1/models/aliases",
            json!({"name": "spare", "model": "gpt-4o"}),
        ),
    ] {
        company.world.admin("PUT", path, body).await.expect(200);
    }
    company.refuses(TABLE).await;
}
