//! Serves the simulator on a socket that is bound already, without a Pingora server around it.

use std::sync::Arc;

use pingora_core::apps::ServerApp as _;
use pingora_core::protocols::Stream;
use pingora_core::protocols::l4::stream::Stream as L4Stream;
use pingora_core::server::ShutdownWatch;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::Simulator;

/// Accepts until `shutdown` turns; connections end with the future.
pub async fn serve(app: Arc<Simulator>, listener: TcpListener, mut shutdown: ShutdownWatch) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // A socket that could not be accepted (too many open files) is not the end.
                let Ok((socket, _)) = accepted else { tokio::task::yield_now().await; continue };
                let _ = socket.set_nodelay(true);
                let (app, shutdown) = (app.clone(), shutdown.clone());
                connections.spawn(async move {
                    let stream: Stream = Box::new(L4Stream::from(socket));
                    app.process_new(stream, &shutdown).await;
                });
            }
            Some(_) = connections.join_next() => {}
            turned = shutdown.changed() => if turned.is_err() || *shutdown.borrow() { return },
        }
    }
}
