//! A bucket that says nothing.

use std::convert::Infallible;

use futures_util::{FutureExt, StreamExt, future};
use hyper::body::Frame;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

use super::*;

const SOON: Duration = Duration::from_millis(50);

#[tokio::test]
async fn who_does_not_answer_is_not_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let request = http::Request::get(format!("http://{}/", listener.local_addr().unwrap()));
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        // Until the client leaves.
        let _ = stream.read_to_end(&mut Vec::new()).await;
    });
    let wire = Wire::with(None, SOON).unwrap();
    let answer = wire.call(request.body(HttpRequestBody::empty()).unwrap()).await;
    assert_eq!(answer.unwrap_err().kind(), HttpErrorKind::Timeout);
}

#[tokio::test]
async fn who_does_not_end_an_answer_is_not_waited_for() {
    let half = stream::iter([Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"half")))]);
    let mut body = watched(StreamBody::new(half.chain(future::pending().into_stream())), SOON);
    // What has come is read.
    let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(&*first, b"half");
    assert_eq!(body.frame().await.unwrap().unwrap_err().kind(), HttpErrorKind::Timeout);
}
