//! The process is told to end.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::support::{Load, on_every_store};

/// With nothing in front that would send visitors elsewhere first.
#[tokio::test]
async fn a_node_told_to_end_answers_everybody_whom_it_let_in() {
    on_every_store(&[], async |world| {
        world.forget_clicks().await;
        let mut book = super::support::Book::default();
        for _ in 0..5 {
            let ledger = world.load(Load { connections: 16, every: None }).await;
            sleep(Duration::from_millis(300)).await;
            let begun = Instant::now();
            world.node.terminate();
            let status = world.node.wait(Duration::from_secs(10)).await;
            assert!(status.success(), "it ended with {status}");
            eprintln!("ended after {:?}", begun.elapsed());
            let visits = ledger.close().await;
            eprintln!("{}: {visits}", world.store);
            assert!(visits.answers.keys().all(|status| *status == 302), "{visits}");
            assert_eq!(visits.unanswered, 0, "somebody was let in and not answered: {visits}");
            assert_eq!(visits.turned_away, 0, "somebody was connected and not let in: {visits}");
            book.add(visits);
            world.node.start().await;
        }
        world.assert_balanced(&book).await;
    })
    .await;
}
