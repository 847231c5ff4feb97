//! Tokens of a real issuer, the whole way: over sockets, from the issuer's keys to both ways in.

use std::time::{SystemTime, UNIX_EPOCH};

use actix_web::{App, test as in_process, web};
use async_trait::async_trait;
use mcp_connect::test_issuer::{KEYS, TestIssuer};
use mcp_core::endpoint::head::Head;
use mcp_core::oauth::ProtectedResource;
use mcp_core::oauth::signing::SigningKey;
use mcp_core::{Authenticate, Caller, Challenge, Endpoint, Policy, Requirement, Server, ToolError, tool_fn};
use serde_json::{Value, json};

use crate::served::{Reply, Served, binary, text};

const RESOURCE: &str = "https://mcp.example.com/mcp";
const METADATA: &str = "resource_metadata=\"https://mcp.example.com/.well-known/oauth-protected-resource/mcp\", scope=\"notes:read notes:write\"";
const CALL: &str = "/api/v1/tools/time.now/call";

/// An issuer with one key, and a server that believes it.
struct House {
    issuer: TestIssuer,
    key: SigningKey,
    server: Served,
}

impl House {
    fn start(more: &[(&str, &str)]) -> Self {
        let key = SigningKey::new("k1", "RS256");
        let issuer = TestIssuer::start(&[&key]);
        let url = issuer.url();
        let own =
            [("OAUTH_ISSUERS", url.as_str()), ("PUBLIC_URL", RESOURCE), ("OAUTH_SCOPES", "notes:read, notes:write")];
        let server = Served::start(&[&own[..], more].concat());
        Self { issuer, key, server }
    }

    /// Claims that are valid for a few minutes.
    fn claims(&self) -> Value {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        json!({"iss": self.issuer.url(), "sub": "ada", "aud": RESOURCE, "iat": now, "exp": now + 600})
    }

    fn claims_with(&self, name: &str, value: Value) -> Value {
        let mut claims = self.claims();
        claims[name] = value;
        claims
    }

    /// A call by REST.
    fn call(&self, token: &str) -> Reply {
        self.server.send("POST", CALL, &[("authorization", &format!("Bearer {token}"))], "{}")
    }

    /// A call by MCP.
    fn mcp(&self, authorization: &[(&str, &str)]) -> Reply {
        let meta = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
        });
        let params = json!({"name": "time.now", "arguments": {}, "_meta": meta});
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
        let headers = [
            ("content-type", "application/json"),
            ("accept", "application/json, text/event-stream"),
            ("mcp-protocol-version", "2026-07-28"),
            ("mcp-method", "tools/call"),
            ("mcp-name", "time.now"),
        ];
        self.server.send("POST", "/mcp", &[&headers[..], authorization].concat(), &body.to_string())
    }

    /// Sees that a token is refused in both ways, by these words, in the form that the specification asks for.
    fn refused(&self, token: &str, words: &str) {
        let challenge = format!("Bearer error=\"invalid_token\", {METADATA}");
        let bearer = format!("Bearer {token}");
        for reply in [self.call(token), self.mcp(&[("authorization", &bearer)])] {
            assert_eq!((reply.status, reply.header("www-authenticate")), (401, Some(&*challenge)), "{reply:?}");
            let said = reply.body.to_string();
            assert!(said.contains(words), "{words:?} is not in {said}");
        }
    }
}

#[test]
fn a_token_is_a_way_in_over_mcp_and_over_rest() {
    let house = House::start(&[]);
    let token = house.key.token(&house.claims());
    let bearer = format!("Bearer {token}");
    let called = house.call(&token);
    assert_eq!((called.status, &called.body["structuredContent"]["zone"]), (200, &json!("UTC")), "{called:?}");
    let called = house.mcp(&[("authorization", &bearer)]);
    assert_eq!((called.status, &called.body["error"]), (200, &Value::Null), "{called:?}");
    assert_eq!(house.issuer.asked().len(), 2, "its metadata and its keys, once");

    // What callers did is theirs, and what the one did the other does not see.
    let bob = format!("Bearer {}", house.key.token(&house.claims_with("sub", "bob".into())));
    let calls =
        |bearer: &str| house.server.get_with("/api/v1/calls", &[("authorization", bearer)]).body["calls"].clone();
    assert_eq!(calls(&bearer).as_array().unwrap().len(), 2);
    assert_eq!(calls(&bob), json!([]));
}

#[test]
fn who_brings_no_token_is_told_where_to_get_one() {
    let house = House::start(&[]);
    let challenge = format!("Bearer {METADATA}");
    for reply in [house.server.post(CALL, "{}"), house.mcp(&[]), house.server.get("/openapi.json")] {
        assert_eq!((reply.status, reply.header("www-authenticate")), (401, Some(&*challenge)), "{reply:?}");
    }
    // Not in the query, nor twice.
    let token = house.key.token(&house.claims());
    for path in [format!("{CALL}?access_token={token}"), format!("/mcp?access_token={token}")] {
        assert_eq!(house.server.post(&path, "{}").status, 401);
    }
    let bearer = format!("Bearer {token}");
    let twice = house.mcp(&[("authorization", &bearer), ("authorization", &bearer)]);
    let challenge = format!("Bearer error=\"invalid_request\", {METADATA}");
    assert_eq!((twice.status, twice.header("www-authenticate")), (400, Some(&*challenge)), "{twice:?}");

    // Its client reads the metadata, from any page and without credentials.
    for path in ["/.well-known/oauth-protected-resource/mcp", "/.well-known/oauth-protected-resource"] {
        let metadata = house.server.get_with(path, &[("origin", "https://app.example.com")]);
        assert_eq!((metadata.status, metadata.content_type.as_str()), (200, "application/json"), "{metadata:?}");
        assert_eq!(metadata.header("access-control-allow-origin"), Some("*"));
        assert_eq!(
            metadata.body,
            json!({
                "resource": RESOURCE,
                "authorization_servers": [house.issuer.url()],
                "scopes_supported": ["notes:read", "notes:write"],
                "bearer_methods_supported": ["header"],
            })
        );
        assert_eq!(house.server.send("HEAD", path, &[], "").status, 200);
        let preflight = house.server.send("OPTIONS", path, &[("origin", "https://app.example.com")], "");
        assert_eq!((preflight.status, preflight.header("access-control-allow-headers")), (204, Some("*")));
        assert_eq!(house.server.post(path, "{}").status, 405);
    }
    assert_eq!(house.server.get("/.well-known/oauth-protected-resource/other").status, 404);
}

#[test]
fn tokens_that_are_not_valid_are_refused_in_both_ways() {
    let house = House::start(&[]);
    let now = house.claims()["iat"].as_i64().unwrap();
    let with = |name: &str, value: Value| house.key.token(&house.claims_with(name, value));
    house.refused(&with("aud", "https://other.example.com/mcp".into()), "it is for another server");
    house.refused(&with("iss", "https://evil.example.com".into()), "its issuer is not trusted");
    house.refused(&with("exp", (now - 60).into()), "it has expired");
    house.refused(&with("nbf", (now + 600).into()), "it is not valid yet");
    house.refused(&with("more", "x".repeat(13 * 1024).into()), "it is too long");
    let none = house.key.token_with(&json!({"alg": "none"}), &house.claims());
    house.refused(&none, "its algorithm is not taken");
    house.refused(&house.key.token_with(&json!({"alg": "HS256", "kid": "k1"}), &house.claims()), "its algorithm");
    assert!(house.issuer.asked().is_empty(), "nothing was asked for any of them");
    // One who has the name of a key, and not the key.
    house.refused(&SigningKey::new("k1", "ES256").token(&house.claims()), "its signature is wrong");
    house.refused("key-of-nobody", "the key is not valid");
}

#[test]
fn keys_that_change_are_followed_and_keys_at_random_ask_nothing() {
    let house = House::start(&[]);
    let asked = |path: &str| house.issuer.asked().iter().filter(|asked| *asked == path).count();
    for n in 0..100 {
        let token = SigningKey::new(&format!("random {n}"), "EdDSA").token(&house.claims());
        assert_eq!(house.call(&token).status, 401);
    }
    assert!(asked(KEYS) < 10, "{} fetches for 100 tokens", asked(KEYS));

    // A server that has not asked lately finds a new key at once, and while the issuer is away it goes on.
    let house = House::start(&[]);
    let next = SigningKey::new("k2", "ES384");
    house.issuer.publish(&[&house.key, &next]);
    let tokens = [&house.key, &next].map(|key| key.token(&house.claims()));
    assert_eq!(tokens.each_ref().map(|token| house.call(token).status), [200, 200]);
    house.issuer.set_away(true);
    let again = [&house.key, &next].map(|key| key.token(&house.claims_with("sub", "eve".into())));
    assert_eq!(again.each_ref().map(|token| house.call(token).status), [200, 200]);
}

#[test]
fn an_issuer_that_is_away_is_no_fault_of_the_token() {
    let house = House::start(&[]);
    house.issuer.set_away(true);
    let token = house.key.token(&house.claims());
    for reply in [house.call(&token), house.mcp(&[("authorization", &format!("Bearer {token}"))])] {
        assert_eq!((reply.status, reply.header("www-authenticate")), (503, None), "{reply:?}");
        assert!(reply.header("retry-after").is_some(), "{reply:?}");
    }
}

/// Lets everyone in.
struct Everyone;

#[async_trait]
impl Authenticate for Everyone {
    async fn authenticate(&self, _: &dyn Head) -> Result<Caller, Challenge> {
        Ok(Caller::new("default", "ada"))
    }
}

#[actix_web::test]
async fn an_app_tells_who_lacks_a_scope_where_to_get_a_token_with_it() {
    let pay = tool_fn("pay", "Pays.", async || Ok::<_, ToolError>("paid")).requires("pay:write");
    let policy = Policy::none().routes("GET /api/v1/runs", Requirement::none().scope("runs"));
    let server = Server::builder("house", "1.0.0").tool(pay).policy(policy).build().unwrap();
    let resource = ProtectedResource::new(RESOURCE).unwrap();
    let endpoint = Endpoint::new(server).authenticate(Everyone).protected_resource(resource);
    let app = App::new()
        .service(web::scope("/api/v1").configure(mcp_http::rest(endpoint.clone())))
        .configure(mcp_http::well_known(endpoint));
    let app = in_process::init_service(app).await;
    let call = in_process::TestRequest::post().uri("/api/v1/tools/pay/call").to_request();
    let route = in_process::TestRequest::get().uri("/api/v1/runs").insert_header(("host", "localhost")).to_request();
    for (request, scope) in [(call, "pay:write"), (route, "runs")] {
        let response = in_process::call_service(&app, request).await;
        assert_eq!(response.status(), 403);
        let metadata = "https://mcp.example.com/.well-known/oauth-protected-resource/mcp";
        let challenge =
            format!("Bearer error=\"insufficient_scope\", resource_metadata=\"{metadata}\", scope=\"{scope}\"");
        assert_eq!(response.headers().get("www-authenticate").unwrap(), &challenge);
    }
    let request = in_process::TestRequest::get().uri("/.well-known/oauth-protected-resource/mcp").to_request();
    assert_eq!(in_process::call_service(&app, request).await.status(), 200);
}

#[test]
fn claims_become_tenant_roles_and_scopes_as_configured() {
    let house = House::start(&[("OAUTH_TENANT_CLAIM", "/org/id"), ("OAUTH_ROLES_CLAIM", "roles")]);
    let mut claims = house.claims();
    house.refused(&house.key.token(&claims), "it names no tenant");
    claims["org"] = json!({"id": "acme"});
    claims["roles"] = json!(["admin"]);
    let admin = house.key.token(&claims);
    let other = house.key.token(&{
        let mut claims = claims.clone();
        (claims["sub"], claims["roles"]) = (json!("bob"), json!([]));
        claims
    });
    assert_eq!(house.call(&other).status, 200);
    let calls = |token: &str| {
        let bearer = format!("Bearer {token}");
        house.server.get_with("/api/v1/calls", &[("authorization", &bearer)]).body["calls"].clone()
    };
    assert_eq!(calls(&admin)[0]["caller"], format!("{}#bob", house.issuer.url()), "an administrator sees all");
    claims["org"]["id"] = json!("zenith");
    assert_eq!(calls(&house.key.token(&claims)), json!([]), "of the own tenant alone");
}

#[test]
fn a_key_is_taken_beside_tokens() {
    let house = House::start(&[("HOST", "0.0.0.0"), ("API_KEY", "0123456789abcdef")]);
    let key = [("authorization", "Bearer 0123456789abcdef")];
    assert_eq!(house.server.send("POST", CALL, &key, "{}").status, 200);
    assert_eq!(house.server.send("POST", CALL, &[("x-api-key", "0123456789abcdef")], "{}").status, 200);
    assert_eq!(house.call(&house.key.token(&house.claims())).status, 200);
    assert_eq!(house.call("0123456789abcdeg").status, 401);
}

#[test]
fn no_token_is_in_the_log() {
    let house =
        House::start(&[("LOG_FORMAT", "json"), ("LOG_LEVEL", "info,mcp_core=trace,mcp_http=trace,mcp_connect=trace")]);
    let (good, bad) = (house.key.token(&house.claims()), house.key.token(&house.claims_with("aud", "x".into())));
    assert_eq!((house.call(&good).status, house.call(&bad).status), (200, 401));
    let (_, log, _) = house.server.stop();
    assert!(log.contains("an access token was refused"), "{log}");
    for part in good.split('.').chain(bad.split('.')) {
        assert!(!log.contains(part), "{part} is in the log");
    }
}

#[test]
fn settings_that_do_not_fit_are_refused_with_the_mend() {
    let issuer = ("OAUTH_ISSUERS", "https://login.example.com");
    let public = ("PUBLIC_URL", RESOURCE);
    let folder = tempfile::tempdir().unwrap();
    for (settings, words) in [
        (vec![issuer], ["PUBLIC_URL", "https://mcp.example.com/mcp"]),
        (vec![issuer, ("PUBLIC_URL", "mcp.example.com")], ["PUBLIC_URL", "\"mcp.example.com\""]),
        (vec![("OAUTH_ISSUERS", "http://login.example.com"), public], ["OAUTH_ISSUERS", "https://"]),
        (vec![issuer, public, ("OAUTH_JWKS_URL", "http://login.example.com/keys")], ["OAUTH_JWKS_URL", "https://"]),
        (
            vec![
                ("OAUTH_ISSUERS", "https://a.example.com,https://b.example.com"),
                public,
                ("OAUTH_JWKS_URL", "https://a.example.com/keys"),
            ],
            ["OAUTH_JWKS_URL", "several"],
        ),
    ] {
        let ended = binary(folder.path(), &settings).env("PORT", "0").output().unwrap();
        let said = text(&ended.stderr);
        assert!(!ended.status.success() && words.iter().all(|word| said.contains(word)), "{said}");
    }
}
