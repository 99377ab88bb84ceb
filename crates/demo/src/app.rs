//! The calculator app of the Kubefed guide, and the one question that a client asks it.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::server::Server;

/// The port of the guide's Service.
pub(super) const PORT: u16 = 5001;

/// A client waits so long for an answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Answers `GET /` with a welcome and `GET /add/A/B` with the sum.
///
/// # Errors
/// When the address cannot be had.
pub(super) async fn serve(address: SocketAddr) -> io::Result<Server> {
    let router = Router::new().route("/", get(async || "Welcome to Calculator service!")).route(
        "/add/{a}/{b}",
        get(async |Path((a, b)): Path<(i32, i32)>| (i64::from(a) + i64::from(b)).to_string()),
    );
    Server::start(address, |_| router).await
}

/// The body of the answer to a GET.
///
/// # Errors
/// No answer within 2 s, or one that is no success.
pub(super) async fn ask(address: SocketAddr, path: &str) -> io::Result<String> {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok::<_, io::Error>(answer)
    };
    let answer = tokio::time::timeout(PATIENCE, exchange).await??;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.1 200") => Ok(body.to_owned()),
        _ => Err(io::Error::other(answer.lines().next().unwrap_or("an empty answer").to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_welcomes_and_adds_and_is_gone_when_closed() {
        let app = serve("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = app.address();
        assert_eq!(ask(address, "/").await.unwrap(), "Welcome to Calculator service!");
        assert_eq!(ask(address, "/add/10/67").await.unwrap(), "77");
        assert!(ask(address, "/add/10/x").await.unwrap_err().to_string().contains("400"));
        // A client that keeps its connection open does not keep the app alive.
        let open = TcpStream::connect(address).await.unwrap();
        app.close().await;
        assert_eq!(ask(address, "/").await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        drop(open);
        let app = serve(address).await.unwrap();
        assert_eq!(ask(app.address(), "/add/1/1").await.unwrap(), "2");
    }
}
