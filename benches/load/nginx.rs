//! What everybody knows, as a measure of the machine: the pass-through of a web server, where it is installed.

use std::path::Path;

use crate::driver::SERVER_CORE;
use crate::gateway::Ground;
use crate::server::{Program, Server, free_port, has};

/// `None` where there is none on this machine.
pub(crate) fn start(ground: &Ground<'_>) -> Option<Server> {
    if !has("nginx", &["-v"]) {
        return None;
    }
    let port = free_port();
    let dir = ground.dir.join("nginx");
    std::fs::create_dir_all(&dir).unwrap();
    let file = dir.join("nginx.conf");
    std::fs::write(&file, configuration(port, ground.mock, &dir)).unwrap();
    let args = ["-c".to_owned(), file.display().to_string()];
    Some(Program::new(SERVER_CORE, Path::new("nginx"), &args).serve(port))
}

/// One process, which keeps its connections, holds whole requests in memory and passes answers on as they come.
fn configuration(port: u16, mock: u16, dir: &Path) -> String {
    let dir = dir.display();
    format!(
        r"daemon off; master_process off; pid {dir}/pid; error_log stderr error;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 75s;
  client_max_body_size 0; client_body_buffer_size 2m; client_body_temp_path {dir}/a; proxy_temp_path {dir}/b;
  fastcgi_temp_path {dir}/c; uwsgi_temp_path {dir}/d; scgi_temp_path {dir}/e;
  upstream mock {{ server 127.0.0.1:{mock}; keepalive 256; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{ proxy_pass http://mock; proxy_http_version 1.1; proxy_set_header Connection ''; proxy_buffering off; }}
  }}
}}
"
    )
}
