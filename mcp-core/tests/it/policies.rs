//! Who may use what: to whom it is not there, and who is told what they lack.

use mcp_core::policy::{InsufficientScope, Policy, Requirement};
use mcp_core::{
    Arguments, CallError, Caller, Change, Context, NoInput, Server, ServerBuilder, ToolError, prompt_fn, resource_fn,
    resource_template_fn, tool_fn,
};
use serde_json::{Value, json};

use crate::support::{Events, House, Reply, Request, events};

fn ada() -> Caller {
    Caller::new("acme", "ada")
}

/// What everyone may use.
fn open(builder: ServerBuilder) -> ServerBuilder {
    builder
        .tool(tool_fn("said", "Says.", async || Ok::<_, ToolError>("said")))
        .prompt(prompt_fn("hello", "Greets.", async || Ok::<_, ToolError>("hello")))
        .resource(resource_fn("docs://open", "Open", async || Ok::<_, ToolError>("open")))
        .resource(resource_template_fn("page://{name}", "Page", async |_: mcp_core::StringArguments| {
            Ok::<_, ToolError>("a page")
        }))
}

/// The same, and what takes a role, a tenant or a scope.
fn restricted(builder: ServerBuilder) -> ServerBuilder {
    open(builder)
        .tool(tool_fn("sail", "Sails.", async || Ok::<_, ToolError>("sailed")).for_role("captain"))
        .tool(tool_fn("sale", "Sells.", async || Ok::<_, ToolError>("sold")).for_tenant("shop").requires("sales"))
        .prompt(prompt_fn("hallo", "Grüßt.", async || Ok::<_, ToolError>("hallo")).for_role("captain"))
        .resource(resource_fn("docs://shut", "Shut", async || Ok::<_, ToolError>("shut")).for_tenant("shop"))
        .resource(
            resource_template_fn("log://{name}", "Log", async |_: mcp_core::StringArguments| {
                Ok::<_, ToolError>("a log")
            })
            .for_role("captain"),
        )
}

async fn send_as(house: &House, caller: Caller, request: &Request) -> Reply {
    Reply::of(house.endpoint.answer(request, caller, request.body.clone().into()).await).await
}

/// What may tell that something is there, in each era.
fn questions() -> Vec<Request> {
    let mut asked = Vec::new();
    for of in [Request::modern, Request::legacy] {
        for method in ["tools/list", "prompts/list", "resources/list", "resources/templates/list"] {
            asked.push(of(method, json!({})));
        }
        // `c2FpbA` is a cursor behind "sail".
        asked.push(of("tools/list", json!({"cursor": "c2FpbA"})));
        for tool in ["sail", "sale", "sal"] {
            asked.push(of("tools/call", json!({"name": tool, "arguments": {}})));
        }
        asked.push(of("prompts/get", json!({"name": "hallo"})));
        for uri in ["docs://shut", "log://today"] {
            asked.push(of("resources/read", json!({"uri": uri})));
        }
        for reference in
            [json!({"type": "ref/prompt", "name": "hallo"}), json!({"type": "ref/resource", "uri": "log://{name}"})]
        {
            asked.push(of("completion/complete", json!({"ref": reference, "argument": {"name": "name", "value": ""}})));
        }
    }
    asked.into_iter().map(named).collect()
}

/// With the header that a read of the modern era has.
fn named(request: Request) -> Request {
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    match body["params"]["uri"].as_str().filter(|_| body["params"]["_meta"].is_object()) {
        Some(uri) => request.with("mcp-name", uri),
        None => request,
    }
}

#[tokio::test]
async fn who_lacks_the_role_or_the_tenant_is_answered_as_if_there_were_no_such_thing() {
    let (open, restricted) = (House::new(open), House::new(restricted));
    for request in questions() {
        let seen = send_as(&restricted, ada().with_scope("sales"), &request).await;
        let expected = send_as(&open, ada(), &request).await;
        let body = String::from_utf8_lossy(&request.body);
        assert_eq!(
            (seen.status, &seen.headers, &seen.text),
            (expected.status, &expected.headers, &expected.text),
            "{body}"
        );
        // It is another answer where they have it, or the question would tell nothing.
        let captain = Caller::new("shop", "bo").with_role("captain").with_scope("sales");
        assert_ne!(send_as(&restricted, captain, &request).await.text, expected.text, "{body}");
    }
}

#[tokio::test]
async fn who_lacks_a_scope_alone_is_shown_it_and_told_what_to_ask_for() {
    let house = House::new(|builder| {
        let pay =
            tool_fn("pay", "Pays.", async || Ok::<_, ToolError>("paid")).requires("pay:read").requires("pay:write");
        builder
            .tool(pay)
            .prompt(prompt_fn("p", "P.", async || Ok::<_, ToolError>("p")).requires("prompts"))
            .resource(resource_fn("docs://a", "A", async || Ok::<_, ToolError>("a")).requires("docs"))
    });
    let half = ada().with_scope("pay:read");
    for (of, list) in [(Request::modern as fn(&str, Value) -> Request, "tools/list"), (Request::legacy, "tools/list")] {
        let listed = send_as(&house, half.clone(), &of(list, json!({}))).await.result();
        assert_eq!(listed["tools"][0]["name"], "pay");
        for (request, needed) in [
            (of("tools/call", json!({"name": "pay", "arguments": {}})), "pay:read pay:write"),
            (of("prompts/get", json!({"name": "p"})), "prompts"),
            (named(of("resources/read", json!({"uri": "docs://a"}))), "docs"),
        ] {
            let refused = send_as(&house, half.clone(), &request).await;
            assert_eq!(refused.status, 403, "{refused:?}");
            let challenge = format!("Bearer error=\"insufficient_scope\", scope=\"{needed}\"");
            assert_eq!(refused.header("www-authenticate"), Some(&*challenge));
            assert_eq!(refused.json()["error"]["code"], -32600);
            let all = half.clone().with_scope("pay:write").with_scope("docs").with_scope("prompts");
            send_as(&house, all, &request).await.result();
        }
    }
}

#[tokio::test]
async fn policy_is_the_same_for_calls_that_are_made_without_mcp_and_by_tools() {
    let house = House::new(|builder| {
        let outer = async |_: NoInput, cx: Context| cx.call("pay", Arguments::none()).await;
        restricted(builder)
            .tool(tool_fn("pay", "Pays.", async || Ok::<_, ToolError>("paid")).requires("pay"))
            .tool(tool_fn("outer", "Calls another.", outer))
    });
    let call = async |caller: Caller, tool: &str| house.server.call_tool(caller, tool, Arguments::none()).await;
    assert!(matches!(call(ada(), "sail").await, Err(CallError::UnknownTool { .. })));
    let Err(CallError::Forbidden(InsufficientScope { what, scopes })) = call(ada(), "pay").await else {
        panic!("the scope is needed")
    };
    assert_eq!((&*what, &*scopes), ("the tool \"pay\"", &["pay".into()][..]));
    let inner = call(ada(), "outer").await;
    assert!(matches!(inner, Err(CallError::Tool { error: ToolError::Failed(_), .. })), "{inner:?}");
    assert!(call(ada().with_scope("pay"), "outer").await.is_ok());
    assert!(call(ada().with_scope(Caller::ALL_SCOPES), "outer").await.is_ok());
}

#[tokio::test]
async fn an_operator_restricts_what_the_code_leaves_open() {
    let policy = Policy::none()
        .tools("sa*", Requirement::none().scope("talk"))
        .prompts("hello", Requirement::none().role("captain"))
        .resources("page://{name}", Requirement::none().role("captain"))
        .resources("docs://*", Requirement::none().tenant("shop"));
    let house = House::new(|builder| open(builder).policy(policy));
    let status = async |caller: Caller, method: &str, params: Value| {
        let reply = send_as(&house, caller, &named(Request::modern(method, params))).await;
        (reply.status, reply.json()["error"]["code"].as_i64())
    };
    let captain = || Caller::new("shop", "bo").with_role("captain").with_scope("talk");
    for (method, params, refused) in [
        ("tools/call", json!({"name": "said", "arguments": {}}), (403, Some(-32600))),
        ("prompts/get", json!({"name": "hello"}), (200, Some(-32602))),
        ("resources/read", json!({"uri": "page://1"}), (200, Some(-32602))),
        ("resources/read", json!({"uri": "docs://open"}), (200, Some(-32602))),
    ] {
        assert_eq!(status(ada(), method, params.clone()).await, refused, "{params}");
        assert_eq!(status(captain(), method, params.clone()).await, (200, None), "{params}");
    }
}

#[tokio::test]
async fn what_is_in_a_resource_is_told_to_those_alone_who_may_read_it() {
    let house = House::new(restricted);
    let filter = json!({"resourceSubscriptions": ["docs://shut", "log://today", "docs://nothing"]});
    let request = Request::modern("subscriptions/listen", json!({"notifications": filter}));
    let listen = async |caller: Caller| {
        let body = request.body.clone().into();
        let mut stream = Events::of(house.endpoint.answer(&request, caller, body).await);
        let first = stream.next().await.expect("it is acknowledged");
        (stream, first)
    };
    let captain = Caller::new("shop", "bo").with_role("captain");
    let ((mut theirs, told), (mut others, same)) = (listen(captain).await, listen(ada()).await);
    assert_eq!(told, same, "who may not read them does not learn which there are");
    for uri in ["docs://shut", "log://today", "docs://nothing"] {
        house.server.announce(&Change::Resource(uri.to_owned())).await.unwrap();
    }
    let uris = async |stream: &mut Events| {
        let mut uris = Vec::new();
        while let Some(piece) = stream.next().await {
            uris.extend(events(&piece).iter().map(|event| event["params"]["uri"].as_str().unwrap().to_owned()));
        }
        uris
    };
    assert_eq!(uris(&mut theirs).await, ["docs://shut", "log://today", "docs://nothing"]);
    assert_eq!(uris(&mut others).await, ["docs://nothing"]);
}

#[test]
fn whoever_may_not_read_the_first_resource_that_fits_is_given_no_other() {
    let server = Server::builder("t", "1")
        .resource(resource_fn("page://secret", "Secret", async || Ok::<_, ToolError>("s")).for_role("captain"));
    let server = open(server).build().unwrap();
    assert!(server.find_resource(&ada(), "page://secret").is_err(), "not by the template either");
    assert!(server.find_resource(&ada(), "page://other").is_ok());
    assert!(server.find_resource(&ada().with_role("captain"), "page://secret").is_ok());
}
