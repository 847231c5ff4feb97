use std::sync::Arc;

use super::*;
use crate::caller::{Caller, KeyOrLoopback};
use crate::clock::simulated::SimulatedClock;
use crate::endpoint::Endpoint;
use crate::store::Stores;

const KEY: &str = "the key of a browser";

/// A request from elsewhere with these headers.
struct Request(Vec<(&'static str, String)>);

impl Head for Request {
    fn verb(&self) -> &str {
        "GET"
    }

    fn header(&self, name: &str) -> Header<'_> {
        Header::from_values(self.values(name).into_iter())
    }

    fn values(&self, name: &str) -> Vec<&[u8]> {
        self.0.iter().filter(|(known, _)| *known == name).map(|(_, value)| value.as_bytes()).collect()
    }

    fn any_name(&self, test: &dyn Fn(&str) -> bool) -> bool {
        self.0.iter().any(|(name, _)| test(name))
    }

    fn peer(&self) -> Option<IpAddr> {
        Some([192, 0, 2, 1].into())
    }
}

/// A server with these secret keys.
fn server(clock: &Arc<SimulatedClock>, stores: &Stores, secret: u8) -> Server {
    Server::builder("test", "1")
        .clock(clock.clone())
        .stores(stores.clone())
        .secret_keys([[secret; 32]])
        .build()
        .unwrap()
}

fn house() -> (Arc<SimulatedClock>, Stores) {
    let clock = Arc::new(SimulatedClock::new());
    let stores = Stores::in_memory(clock.clone());
    (clock, stores)
}

#[tokio::test]
async fn a_cookie_lets_in_with_the_header_of_its_page_and_no_longer_than_it_may() {
    let (clock, stores) = house();
    let server = server(&clock, &stores, 1);
    let endpoint = Endpoint::new(server.clone()).allow_any_host();
    let endpoint = endpoint.authenticate(KeyOrLoopback::loopback_only().or_key(KEY).everyone_needs_it());
    let sealed = server.browsers().cookie(KEY).unwrap();
    assert!(!sealed.contains(KEY));
    let cookie = ("cookie", format!("a=b; mcp-console={sealed}"));
    let (host, page) = (("host", "example.com".to_owned()), ("x-requested-by", "console".to_owned()));
    let other = ("authorization", "Bearer another key".to_owned());
    let asked = async |headers: &[&(&'static str, String)]| {
        let request = Request(headers.iter().map(|header| (*header).clone()).collect());
        let found = match server.browsers().key(&request) {
            Some(key) => endpoint.identify_by(&request, &key).await,
            None => endpoint.identify(&request).await,
        };
        found.map(|caller: Caller| caller.principal().to_string()).map_err(|no| no.status)
    };
    assert_eq!(asked(&[&host, &cookie, &page]).await, Ok("admin".to_owned()));
    assert_eq!(asked(&[&host, &cookie]).await, Err(401), "what any page may make a browser send counts for nothing");
    assert_eq!(asked(&[&host, &page]).await, Err(401));
    assert_eq!(asked(&[&host, &cookie, &page, &other]).await, Err(401), "what is brought is what counts");
    let cut = ("cookie", format!("mcp-console={}", &sealed[..sealed.len() - 2]));
    assert_eq!(asked(&[&host, &cut, &page]).await, Err(401));
    // Under HTTP/2 each cookie may come in a header of its own.
    let first = ("cookie", "a=b".to_owned());
    assert_eq!(asked(&[&host, &first, &cookie, &page]).await, Ok("admin".to_owned()));
    clock.advance(Browsers::SESSION + Duration::from_secs(1));
    assert_eq!(asked(&[&host, &cookie, &page]).await, Err(401));
}

#[tokio::test]
async fn a_link_lets_in_once_at_whichever_replica() {
    let (clock, stores) = house();
    let (one, other) = (server(&clock, &stores, 1), server(&clock, &stores, 1));
    let link = one.browsers().link(KEY).unwrap();
    let (here, there) = (one.browsers(), other.browsers());
    let (here, there) = tokio::join!(here.redeem(&link), there.redeem(&link));
    let mut keys: Vec<_> = [here.unwrap(), there.unwrap()].into_iter().flatten().collect();
    assert_eq!(keys.pop().as_deref(), Some(KEY));
    assert!(keys.is_empty(), "it let in twice");
    assert_eq!(one.browsers().redeem(&link).await.unwrap(), None);

    let late = one.browsers().link(KEY).unwrap();
    clock.advance(Browsers::LINK + Duration::from_secs(1));
    assert_eq!(one.browsers().redeem(&late).await.unwrap(), None);
    let elsewhere = server(&clock, &stores, 2).browsers().link(KEY).unwrap();
    assert_eq!(one.browsers().redeem(&elsewhere).await.unwrap(), None);
    // A cookie is no link, which lets in once.
    let cookie = one.browsers().cookie(KEY).unwrap();
    assert_eq!(one.browsers().redeem(&cookie).await.unwrap(), None);

    // Of those that let nobody in any more nothing is kept.
    let kept = stores.settings.load(&Key::of_the_house(USED)).await.unwrap().unwrap();
    assert_eq!(kept.read::<BTreeMap<String, i64>>().unwrap().len(), 1);
    let link = one.browsers().link(KEY).unwrap();
    assert_eq!(one.browsers().redeem(&link).await.unwrap().as_deref(), Some(KEY));
    let kept = stores.settings.load(&Key::of_the_house(USED)).await.unwrap().unwrap();
    assert_eq!(kept.read::<BTreeMap<String, i64>>().unwrap().len(), 1);
}
