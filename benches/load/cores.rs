//! What a request costs where two threads serve, beside one. What they have to wait for or take from each other
//! shows there; requests a second would not, on a machine whose cores have the load to make as well.

use weir::wire::Dialect;

use crate::cells::{Stream, cell, cells};
use crate::driver::{SETTLE, machine, programs};
use crate::gateway::{Ground, Part};
use crate::generate::Job;
use crate::rows::{Figures, Row, rest};
use crate::server::{Program, free_port};

/// Of each gateway.
const TURNS: usize = 12;
const TURN_MS: u64 = 800;
const WARM_UP_MS: u64 = 300;
const CONNECTIONS: usize = 16;

/// A table of both, with nothing on and with all on that needs no other server.
pub(crate) fn run() {
    let (own, weir) = programs();
    let port = free_port();
    let mock = Program::new(None, &own, &["mock".to_owned(), port.to_string()]).serve(port);
    let dir = std::env::temp_dir().join(format!("weir-cores-{}", std::process::id()));
    let wanted = cell(Dialect::OpenAiChat, Dialect::OpenAiChat, 2, Stream::No).name();
    let cell = cells().iter().position(|cell| cell.name() == wanted).expect("a cell");
    println!("\n{}; {wanted}, the least of {TURNS} turns, load and upstream on the same cores\n", machine(&weir));
    println!("| CPU µs/request | one thread | two threads | to one | two cores do the work of |");
    println!("|---|--:|--:|--:|--:|");
    for part in [Part::Nothing, Part::Budgets] {
        let mut rows = [1, 2].map(|threads| {
            let ground = Ground { mock: mock.port, store: None, dir: dir.clone(), threads };
            let mut row = Row::new(part.as_str(), ground.start(part, &weir, false, None));
            row.load_core = None;
            row
        });
        rest(&mut rows);
        let job = |ms| Job { port: 0, cell, connections: CONNECTIONS, ms, rate: 0 };
        rows.iter_mut().for_each(|row| row.turn(&own, &job(WARM_UP_MS)));
        std::thread::sleep(SETTLE);
        for row in &mut rows {
            row.settle();
            row.figures = Figures::default();
        }
        for _ in 0..TURNS {
            rows.iter_mut().for_each(|row| row.turn(&own, &job(TURN_MS)));
        }
        std::thread::sleep(SETTLE);
        rows.iter_mut().for_each(Row::settle);
        let [one, two] = rows.map(|row| row.figures.cpu_us.expect("it was measured"));
        println!("| {} | {one:.1} | {two:.1} | {:.2} | {:.2} |", part.as_str(), two / one, 2.0 * one / two);
    }
    let _ = std::fs::remove_dir_all(dir);
}
