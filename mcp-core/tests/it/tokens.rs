//! What lets a token in, and what is answered to each that is not valid.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use mcp_core::clock::simulated::SimulatedClock;
use mcp_core::endpoint::answer::Refusal;
use mcp_core::oauth::signing::{SigningKey, key_set};
use mcp_core::oauth::{AccessTokens, Issuer, KeySet, KeySource, KeysUnavailable, ProtectedResource, PublicKey};
use mcp_core::{Caller, Endpoint, Server, ToolError, tool_fn};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::support::{Reply, Request, send};

const ISSUER: &str = "https://login.example.com";
const OTHER: &str = "https://other.example.com/";
const RESOURCE: &str = "https://mcp.example.com/mcp";
/// When simulated time begins, in seconds since the epoch.
const NOW: i64 = 1_767_225_600;

/// The keys of several issuers, and how often one was asked for.
#[derive(Clone, Default)]
struct Keys {
    sets: Arc<Mutex<HashMap<String, KeySet>>>,
    asked: Arc<AtomicUsize>,
}

impl Keys {
    fn publish(&self, issuer: &str, keys: &[&SigningKey]) {
        let set = KeySet::decode(key_set(keys).to_string().as_bytes()).unwrap();
        self.sets.lock().unwrap().insert(issuer.to_owned(), set);
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl KeySource for Keys {
    async fn key(&self, issuer: &str, id: Option<&str>) -> Result<Option<PublicKey>, KeysUnavailable> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let sets = self.sets.lock().unwrap();
        sets.get(issuer).map(|set| set.find(id).cloned()).ok_or(KeysUnavailable)
    }
}

/// A server that believes two issuers, the first of which signs with `key`.
struct House {
    clock: Arc<SimulatedClock>,
    keys: Keys,
    key: SigningKey,
    endpoint: Endpoint,
}

impl House {
    fn new() -> Self {
        Self::with(|issuer| issuer, |tokens| tokens)
    }

    fn with(map: impl Fn(Issuer) -> Issuer, change: impl FnOnce(AccessTokens) -> AccessTokens) -> Self {
        let (clock, keys, key) = (Arc::new(SimulatedClock::new()), Keys::default(), SigningKey::new("k1", "ES256"));
        keys.publish(ISSUER, &[&key]);
        let tokens = AccessTokens::new(RESOURCE, keys.clone(), clock.clone()).unwrap();
        let tokens = change(tokens.issuer(map(Issuer::new(ISSUER))).issuer(map(Issuer::new(OTHER))));
        let server = Server::builder("house", "1.0.0").build().unwrap();
        let resource = tokens.resource().scope("notes:read").scope("offline_access");
        Self { clock, keys, key, endpoint: Endpoint::new(server).protected_resource(resource).authenticate(tokens) }
    }

    /// What comes of a request with this header.
    async fn admit(&self, authorization: &str) -> Result<Caller, Refusal> {
        self.endpoint.admit(&Request::post("").with("authorization", authorization)).await
    }

    async fn caller(&self, token: &str) -> Caller {
        self.admit(&format!("Bearer {token}")).await.unwrap_or_else(|refusal| panic!("{refusal:?}"))
    }

    /// Sees that a token is refused by 401, in the form that the specification asks for, with these words and nothing of the token.
    async fn refused(&self, token: &str, words: &str) {
        let refusal = self.admit(&format!("Bearer {token}")).await.unwrap_err();
        assert_eq!(refusal.status, 401, "{refusal:?}");
        assert_eq!(
            refusal.challenge.as_deref(),
            Some(
                "Bearer error=\"invalid_token\", resource_metadata=\"https://mcp.example.com/.well-known/oauth-protected-resource/mcp\", scope=\"notes:read\""
            )
        );
        assert!(refusal.message.contains(words), "{words:?} is not in {refusal:?}");
        let said = format!("{refusal:?}{:?}", refusal.clone().into_answer());
        assert!(token.split('.').all(|part| part.len() < 8 || !said.contains(part)), "{said}");
    }
}

/// The claims of a valid token.
fn claims() -> Value {
    json!({"iss": ISSUER, "sub": "ada", "aud": RESOURCE, "exp": NOW + 300, "nbf": NOW, "iat": NOW, "scope": "notes:read notes:write"})
}

/// The same, with this one set, or removed where it is null.
fn claims_with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    match value {
        Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
        value => claims[name] = value,
    }
    claims
}

#[tokio::test]
async fn a_valid_token_names_its_caller() {
    let house = House::new();
    let caller = house.caller(&house.key.token(&claims())).await;
    let ada = Caller::new("default", format!("{ISSUER}#ada")).with_scope("notes:read").with_scope("notes:write");
    assert_eq!(caller, ada);
    assert!(house.admit(&format!("bEARER   {}", house.key.token(&claims()))).await.is_ok());
}

#[tokio::test]
async fn each_algorithm_is_taken_with_keys_of_its_type_alone() {
    let house = House::new();
    let names = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"];
    let keys = names.map(|name| SigningKey::new(name, name));
    house.keys.publish(ISSUER, &keys.each_ref());
    for key in &keys {
        house.caller(&key.token(&claims())).await;
    }
    for (key, of) in keys.iter().zip(names) {
        for name in names.into_iter().filter(|name| *name != of) {
            let token = key.token_with(&json!({"alg": name, "kid": of}), &claims());
            house.refused(&token, "its signature is wrong").await;
        }
    }
}

#[tokio::test]
async fn a_token_that_anyone_can_make_is_refused() {
    let house = House::new();
    let key = SigningKey::new("k1", "RS256");
    house.keys.publish(ISSUER, &[&key]);
    let part = |json: Value| URL_SAFE_NO_PAD.encode(json.to_string());
    for alg in ["none", "None", "NONE", ""] {
        house
            .refused(&format!("{}.{}.", part(json!({"alg": alg})), part(claims())), "its algorithm is not taken")
            .await;
        house.refused(&key.token_with(&json!({"alg": alg, "kid": "k1"}), &claims()), "its algorithm").await;
    }
    // The public key, in each form in which a library may have it, taken for a secret.
    let jwk = key.jwk();
    let modulus = URL_SAFE_NO_PAD.decode(jwk["n"].as_str().unwrap()).unwrap();
    for secret in [jwk.to_string().into_bytes(), modulus, jwk["n"].as_str().unwrap().as_bytes().to_vec()] {
        for alg in ["HS256", "hs256"] {
            let message = format!("{}.{}", part(json!({"alg": alg, "kid": "k1"})), part(claims()));
            let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&secret).unwrap();
            mac.update(message.as_bytes());
            let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()));
            house.refused(&token, "its algorithm is not taken here").await;
        }
    }
    // A key that the token brings along.
    let own = SigningKey::new("k1", "ES256");
    let header = json!({"alg": "ES256", "kid": "k1", "jwk": own.jwk(), "jku": "https://evil.example.com/keys"});
    house.refused(&own.token_with(&header, &claims()), "its signature is wrong").await;
    // Nothing was remembered of them.
    house.refused(&key.token_with(&json!({"alg": "none"}), &claims()), "its algorithm").await;
}

#[tokio::test]
async fn what_was_changed_after_it_was_signed_is_refused() {
    let house = House::new();
    let token = house.key.token(&claims());
    let parts: Vec<_> = token.split('.').collect();
    let admin = URL_SAFE_NO_PAD.encode(claims_with("sub", json!("root")).to_string());
    house.refused(&format!("{}.{admin}.{}", parts[0], parts[2]), "its signature is wrong").await;
    house.refused(&format!("{}.{}.", parts[0], parts[1]), "its signature is wrong").await;
    house.refused(&format!("{}.{}.{}", parts[0], parts[1], parts[0]), "its signature is wrong").await;
    house.caller(&token).await;
    let changed = format!("{}A", &token[..token.len() - 1]);
    if changed != token {
        assert_eq!(house.admit(&format!("Bearer {changed}")).await.unwrap_err().status, 401);
    }
}

#[tokio::test]
async fn what_is_no_token_is_refused() {
    let house = House::new();
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let (header, body) = (part("{\"alg\":\"ES256\",\"kid\":\"k1\"}"), part(&claims().to_string()));
    for token in [
        "..".to_owned(),
        "a.b.c".to_owned(),
        format!("{header}.{body}.=="),
        format!("{header}=.{body}.AAAA"),
        format!("{}.{body}.AAAA", part("[]")),
        format!("{}.{body}.AAAA", part("{\"alg\":5}")),
        format!("{}.{body}.AAAA", part("{\"alg\":\"ES256\",\"alg\":\"none\"}")),
        format!("{header}.{}.AAAA", part("[]")),
        format!("{header}.{}.AAAA", part("{")),
        format!("{header} .{body}.AAAA"),
    ] {
        house.refused(&token, "it is no signed JWT").await;
    }
    for token in ["x", "key-of-another-kind", "a.b", "a.b.c.d", "a.b.c.d.e"] {
        house.refused(token, "the key is not valid").await;
    }
    house.refused(&format!("a.{}.c", "b".repeat(16 * 1024)), "it is too long").await;
    let long = house.key.token(&claims_with("more", "x".repeat(13 * 1024).into()));
    house.refused(&long, "it is too long").await;
    house.caller(&house.key.token(&claims_with("more", "x".repeat(11 * 1024).into()))).await;
}

#[tokio::test]
async fn other_kinds_of_signed_tokens_are_refused() {
    let house = House::new();
    let token = |typ: Value| house.key.token_with(&json!({"alg": "ES256", "kid": "k1", "typ": typ}), &claims());
    for typ in ["at+jwt", "AT+JWT", "application/at+jwt", "JWT"] {
        house.caller(&token(typ.into())).await;
    }
    house.caller(&token(Value::Null)).await;
    for typ in ["dpop+jwt", "logout+jwt", "secevent+jwt", ""] {
        house.refused(&token(typ.into()), "it is no access token").await;
    }
    let header = json!({"alg": "ES256", "kid": "k1", "crit": ["b64"], "b64": false});
    house.refused(&house.key.token_with(&header, &claims()), "an extension").await;
}

#[tokio::test]
async fn a_token_is_for_this_server_and_of_an_issuer_that_is_trusted() {
    let house = House::with(|issuer| issuer, |tokens| tokens.audience("api://mcp"));
    for audience in [
        json!(RESOURCE),
        json!("HTTPS://MCP.example.com:443/mcp/"),
        json!(["https://elsewhere.example.com", RESOURCE]),
        json!("api://mcp"),
    ] {
        house.caller(&house.key.token(&claims_with("aud", audience))).await;
    }
    for audience in [
        Value::Null,
        json!([]),
        json!(""),
        json!(5),
        json!([5, {}]),
        json!("https://mcp.example.com"),
        json!("https://mcp.example.com/MCP"),
        json!("https://mcp.example.com/mcp/more"),
        json!("https://mcp.example.com/mcp#part"),
        json!("http://mcp.example.com/mcp"),
        json!("https://mcp.example.com.evil.example/mcp"),
        json!("API://MCP"),
    ] {
        house.refused(&house.key.token(&claims_with("aud", audience)), "it is for another server").await;
    }
    for issuer in
        [Value::Null, json!("https://evil.example.com"), json!("https://login.example.com/"), json!(5), json!([ISSUER])]
    {
        house.refused(&house.key.token(&claims_with("iss", issuer)), "its issuer is not trusted").await;
    }
}

#[tokio::test]
async fn one_issuer_cannot_sign_for_another() {
    let house = House::new();
    let other = SigningKey::new("k2", "EdDSA");
    house.keys.publish(OTHER, &[&other]);
    let theirs = house.caller(&other.token(&claims_with("iss", OTHER.into()))).await;
    assert_eq!(theirs.principal().as_str(), "https://other.example.com/#ada", "and not the same as the first one's");
    house.refused(&other.token(&claims()), "its issuer has no such key").await;
    house.refused(&other.token_with(&json!({"alg": "EdDSA", "kid": "k1"}), &claims()), "its signature is wrong").await;
}

#[tokio::test]
async fn a_token_is_valid_for_its_time() {
    let house = House::new();
    // Half a minute is allowed for clocks that differ.
    for (name, at, words) in [
        ("exp", NOW - 30, "it has expired"),
        ("exp", 0, "it has expired"),
        ("nbf", NOW + 31, "it is not valid yet"),
        ("iat", NOW + 31, "it is not valid yet"),
        ("iat", i64::MAX, "it is not valid yet"),
    ] {
        house.refused(&house.key.token(&claims_with(name, at.into())), words).await;
    }
    for (name, at) in
        [("exp", json!(NOW - 29)), ("nbf", json!(NOW + 30)), ("iat", json!(NOW + 30)), ("exp", json!(1e300))]
    {
        house.caller(&house.key.token(&claims_with(name, at))).await;
    }
    house.caller(&house.key.token(&claims_with("exp", json!(NOW as f64 + 0.5)))).await;
    house.refused(&house.key.token(&claims_with("exp", Value::Null)), "it does not say when it expires").await;
    for value in [json!("1767225900"), json!(-1), json!([1]), json!(true)] {
        for name in ["exp", "nbf", "iat"] {
            house.refused(&house.key.token(&claims_with(name, value.clone())), "is no number").await;
        }
    }
}

#[tokio::test]
async fn a_token_that_was_verified_is_believed_for_a_minute_and_never_beyond_its_expiry() {
    let house = House::new();
    let (long, short) = (house.key.token(&claims()), house.key.token(&claims_with("exp", json!(NOW + 10))));
    for token in [&long, &short, &long, &short] {
        house.caller(token).await;
    }
    assert_eq!(house.keys.asked(), 2, "each was verified once");
    // Its key is withdrawn.
    house.keys.publish(ISSUER, &[&SigningKey::new("k2", "ES256")]);
    house.clock.advance(Duration::from_secs(39));
    house.caller(&long).await;
    house.caller(&short).await;
    house.clock.advance(Duration::from_secs(1));
    house.refused(&short, "it has expired").await;
    house.clock.advance(Duration::from_secs(19));
    house.caller(&long).await;
    house.clock.advance(Duration::from_secs(1));
    house.refused(&long, "its issuer has no such key").await;
}

#[tokio::test]
async fn keys_change_and_one_without_a_name_is_the_only_one() {
    let house = House::new();
    let next = SigningKey::new("k2", "EdDSA");
    house.refused(&next.token(&claims()), "its issuer has no such key").await;
    house.keys.publish(ISSUER, &[&house.key, &next]);
    house.caller(&next.token(&claims())).await;
    let unnamed = next.token_with(&json!({"alg": "EdDSA"}), &claims_with("sub", "eve".into()));
    house.refused(&unnamed, "its issuer has no such key").await;
    house.keys.publish(ISSUER, &[&next]);
    house.caller(&unnamed).await;
}

#[tokio::test]
async fn keys_that_cannot_be_had_are_no_fault_of_the_token() {
    let house = House::new();
    let other = SigningKey::new("k1", "ES256");
    let token = other.token(&claims_with("iss", OTHER.into()));
    let refusal = house.admit(&format!("Bearer {token}")).await.unwrap_err();
    assert_eq!((refusal.status, refusal.challenge.as_deref()), (503, None), "{refusal:?}");
    house.keys.publish(OTHER, &[&other]);
    house.caller(&token).await;
    // What is refused for another reason asks for no key.
    let asked = house.keys.asked();
    house.refused(&other.token(&claims_with("exp", 0.into())), "it has expired").await;
    house.refused(&other.token(&claims_with("aud", "x".into())), "for another server").await;
    assert_eq!(house.keys.asked(), asked);
}

#[tokio::test]
async fn claims_are_mapped_as_they_are_told_to_be() {
    let map = |issuer: Issuer| {
        issuer.tenant_claim("/org/id").roles_claim("https://example.com/roles").scopes_claim("/r/scopes")
    };
    let house = House::with(map, |tokens| tokens);
    let mut all = claims();
    all["org"] = json!({"id": "acme"});
    // It begins with no slash, so it is a name.
    all["https://example.com/roles"] = json!(["admin", "", 5, "operator"]);
    all["r"] = json!({"scopes": "a  b *"});
    let caller = house.caller(&house.key.token(&all)).await;
    let expected = Caller::new("acme", format!("{ISSUER}#ada")).with_role("admin").with_role("operator");
    assert_eq!(caller, expected.with_scope("a").with_scope("b"));
    for tenant in [Value::Null, json!(""), json!(" "), json!(5), json!("a\u{0}b"), json!("x".repeat(256))] {
        all["org"]["id"] = tenant;
        house.refused(&house.key.token(&all), "it names no tenant").await;
    }
}

#[tokio::test]
async fn a_claim_that_nothing_was_said_of_gives_nothing() {
    let house = House::with(|issuer| issuer.tenant("house"), |tokens| tokens);
    let mut all = claims_with("scope", Value::Null);
    for (name, value) in
        [("roles", json!(["admin"])), ("tenant", json!("acme")), ("tid", json!("acme")), ("scp", json!(["a", "b"]))]
    {
        all[name] = value;
    }
    let expected = Caller::new("house", format!("{ISSUER}#ada")).with_scope("a").with_scope("b");
    assert_eq!(house.caller(&house.key.token(&all)).await, expected);
    for subject in [Value::Null, json!(""), json!(7), json!("a\nb"), json!("x".repeat(256))] {
        house.refused(&house.key.token(&claims_with("sub", subject)), "it names no subject").await;
    }
}

#[tokio::test]
async fn a_token_comes_in_one_header_alone() {
    let house = House::new();
    let token = house.key.token(&claims());
    let elsewhere = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
    let admit =
        async |request: Request| house.endpoint.admit(&Request { peer: elsewhere, ..request }).await.unwrap_err();
    let metadata =
        "resource_metadata=\"https://mcp.example.com/.well-known/oauth-protected-resource/mcp\", scope=\"notes:read\"";
    let challenge = |refusal: &Refusal| refusal.challenge.clone().unwrap().into_owned();

    for request in [Request::post(""), Request::post("").with("x-api-key", &token).with("cookie", &token)] {
        let refusal = admit(request).await;
        assert_eq!((refusal.status, challenge(&refusal)), (401, format!("Bearer {metadata}")));
    }
    let bearer = format!("Bearer {token}");
    for malformed in [
        Request::post("").with("authorization", &bearer).with("authorization", &bearer),
        Request::post("").with("authorization", "Bearer"),
        Request::post("").with("authorization", "Bearer  "),
        Request::post("").with("authorization", "Bearer \u{e9}"),
    ] {
        let refusal = admit(malformed).await;
        let expected = format!("Bearer error=\"invalid_request\", {metadata}");
        assert_eq!((refusal.status, challenge(&refusal)), (400, expected));
    }
    for other in [format!("Basic {token}"), token.clone(), format!("Bearer,{token}")] {
        let refusal = admit(Request::post("").with("authorization", &other)).await;
        assert_eq!(refusal.status, 401, "{refusal:?}");
    }
}

#[tokio::test]
async fn a_caller_who_lacks_a_scope_is_told_all_that_are_needed() {
    let pay = tool_fn("pay", "Pays.", async || Ok::<_, ToolError>("paid")).requires("pay:read").requires("pay:write");
    let server = Server::builder("house", "1.0.0").tool(pay).build().unwrap();
    let (clock, keys, key) = (Arc::new(SimulatedClock::new()), Keys::default(), SigningKey::new("k1", "EdDSA"));
    keys.publish(ISSUER, &[&key]);
    let tokens = AccessTokens::new(RESOURCE, keys, clock).unwrap().issuer(Issuer::new(ISSUER));
    let endpoint = Endpoint::new(server).protected_resource(tokens.resource().scope("basic")).authenticate(tokens);
    let bearer = |scope: &str| format!("Bearer {}", key.token(&claims_with("scope", scope.into())));
    for request in
        [Request::call("pay", json!({})), Request::legacy("tools/call", json!({"name": "pay", "arguments": {}}))]
    {
        let lacking = send(&endpoint, &request.clone().with("authorization", &bearer("pay:read *"))).await;
        assert_eq!(lacking.status, 403, "{lacking:?}");
        assert_eq!(
            lacking.header("www-authenticate"),
            Some(
                "Bearer error=\"insufficient_scope\", resource_metadata=\"https://mcp.example.com/.well-known/oauth-protected-resource/mcp\", scope=\"pay:read pay:write\""
            )
        );
        send(&endpoint, &request.with("authorization", &bearer("pay:write pay:read"))).await.result();
    }
}

#[test]
fn a_challenge_is_completed() {
    let resource = ProtectedResource::new("https://h/mcp").unwrap();
    let metadata = "resource_metadata=\"https://h/.well-known/oauth-protected-resource/mcp\"";
    assert_eq!(resource.complete("Bearer"), format!("Bearer {metadata}"));
    assert_eq!(resource.complete("Bearer error=\"x\""), format!("Bearer error=\"x\", {metadata}"));
    let resource =
        resource.scope("a").scope("b").scope("no scope").scope("").scope("no\"scope").scope("offline_access");
    assert_eq!(resource.complete("Bearer"), format!("Bearer {metadata}, scope=\"a b\""));
    assert_eq!(resource.complete("Bearer scope=\"c\""), format!("Bearer {metadata}, scope=\"c\""));
}

#[tokio::test]
async fn the_metadata_are_for_everyone() {
    let house = House::new();
    let resource = house.endpoint.resource().unwrap();
    let well_known = "/.well-known/oauth-protected-resource";
    assert_eq!(resource.paths(), [format!("{well_known}/mcp"), well_known.to_owned()]);
    assert_eq!(ProtectedResource::new("https://mcp.example.com/").unwrap().paths(), [well_known]);
    for verb in ["GET", "HEAD"] {
        let reply = Reply::of(resource.answer(verb)).await;
        assert_eq!((reply.status, reply.header("access-control-allow-origin")), (200, Some("*")));
        assert_eq!(
            reply.text,
            r#"{"resource":"https://mcp.example.com/mcp","authorization_servers":["https://login.example.com","https://other.example.com/"],"scopes_supported":["notes:read"],"bearer_methods_supported":["header"]}"#
        );
    }
    let preflight = Reply::of(resource.answer("OPTIONS")).await;
    let header = |name| preflight.header(name).unwrap();
    assert_eq!((preflight.status, preflight.text.as_str()), (204, ""));
    assert_eq!(header("access-control-allow-origin"), "*");
    assert_eq!(header("access-control-allow-headers"), "*");
    assert_eq!(header("access-control-allow-methods"), "GET, HEAD, OPTIONS");
    let other = Reply::of(resource.answer("POST")).await;
    assert_eq!((other.status, other.header("allow")), (405, Some("GET, HEAD, OPTIONS")));
}

#[test]
fn a_set_of_keys_is_read_for_what_can_be_used() {
    let key = SigningKey::new("good", "ES256").jwk();
    let with = |name: &str, value: Value| {
        let mut key = key.clone();
        key["kid"] = "bad".into();
        key[name] = value;
        key
    };
    let bad = [
        json!(5),
        json!({"kty": "oct", "kid": "bad", "k": "c2VjcmV0"}),
        with("use", "enc".into()),
        with("key_ops", json!(["encrypt"])),
        with("alg", "HS256".into()),
        with("crv", "P-521".into()),
        with("x", "AAAA".into()),
        with("y", Value::Null),
        json!({"kty": "RSA", "kid": "bad", "n": "AQAB", "e": "AQAB"}),
        json!({"kty": "OKP", "kid": "bad", "crv": "X25519", "x": "AAAA"}),
    ];
    let keys: Vec<_> = bad.into_iter().chain([key.clone()]).collect();
    let set = KeySet::decode(json!({"keys": keys, "more": 1}).to_string().as_bytes()).unwrap();
    assert_eq!((set.len(), set.find(Some("bad")).is_some(), set.find(Some("good")).is_some()), (1, false, true));
    assert_eq!(format!("{:?}", set.find(None)), "Some(PublicKey(Some(\"good\")))");
    let many = |n: usize| KeySet::decode(json!({"keys": vec![&key; n]}).to_string().as_bytes());
    assert_eq!(many(KeySet::MOST).unwrap().len(), KeySet::MOST);
    assert!(many(KeySet::MOST + 1).unwrap_err().to_string().contains("more than 100"));
    for text in ["", "[]", "{}", "{\"keys\": 5}", "<html>"] {
        assert!(KeySet::decode(text.as_bytes()).is_err(), "{text}");
    }
}

#[tokio::test]
async fn nothing_that_is_shown_holds_a_token() {
    let keys = Keys::default();
    let tokens =
        AccessTokens::new(RESOURCE, keys, Arc::new(SimulatedClock::new())).unwrap().issuer(Issuer::new(ISSUER));
    let shown = format!("{tokens:?}");
    assert!(shown.contains(RESOURCE) && shown.contains(ISSUER) && shown.ends_with(".. }"), "{shown}");
    assert!(AccessTokens::new("mcp.example.com", Keys::default(), Arc::new(SimulatedClock::new())).is_err());
}
