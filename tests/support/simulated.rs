//! The built-in simulator on a socket, in this process.

use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::watch;

use super::client::Client;
use super::wait::until;

/// See the module documentation.
#[derive(Debug)]
pub(crate) struct Simulated {
    pub(crate) address: SocketAddr,
    shutdown: watch::Sender<bool>,
}

impl Simulated {
    pub(crate) fn start() -> Self {
        let (shutdown, watch) = watch::channel(false);
        let (send, address) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                send.send(listener.local_addr().unwrap()).unwrap();
                weir::simulator::serve(Arc::new(weir::simulator::app()), listener, watch).await;
            });
        });
        Self { address: address.recv().unwrap(), shutdown }
    }

    /// What it saw, oldest first.
    pub(crate) fn log(&self) -> Vec<Value> {
        let mut client = Client::connect(self.address);
        let answer = client.request("GET", "/_sim/log", &[], b"").answer().json();
        answer["data"].as_array().unwrap().clone()
    }

    /// The last request, once it has ended.
    pub(crate) fn last(&self) -> Value {
        until("the simulator's last request to end", || self.log().pop().filter(|e| e["outcome"] != "open"))
    }
}

impl Drop for Simulated {
    fn drop(&mut self) {
        let _ = self.shutdown.send(true);
    }
}
