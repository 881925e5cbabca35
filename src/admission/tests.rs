//! Time stands still here unless everybody waits: tokio's, not the machine's.

use std::collections::BTreeMap;

use tokio::{task::JoinSet, time::sleep};

use super::{decide::Share, *};

const A: Party = Party(1);
const B: Party = Party(2);

/// Four places for people, of which one party has two while others are about; eight may wait, four of one party.
fn house() -> Admission {
    let share = Share {
        reserved: 4,
        most: 4,
        borrows_below: 0,
        of_one: 2,
        queue: 8,
        queue_of_one: 4,
        patience: Duration::from_millis(500),
        burst: Duration::from_millis(100),
        turns: 1,
    };
    Admission::new(Shares::of_places(100, 4).with(Class::Interactive, share))
}

async fn enter(house: &Admission, party: Party) -> Result<Place, Why> {
    enter_by(house, party, Instant::now() + Duration::from_secs(30)).await
}

async fn enter_by(house: &Admission, party: Party, deadline: Instant) -> Result<Place, Why> {
    house.arrive(Class::Interactive, party, deadline)?.place().await
}

fn enter_at_once(house: &Admission, party: Party) -> Result<Place, Why> {
    house.enter_at_once(Class::Interactive, party)
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_gets_what_is_given_back() {
    let house = house();
    let mut places: Vec<Place> = Vec::new();
    for _ in 0..4 {
        places.push(enter_at_once(&house, A).expect("nobody else is there"));
    }
    assert_eq!(enter_at_once(&house, A).err(), Some(Why::Full));
    let waits = tokio::spawn({
        let house = house.clone();
        async move { enter(&house, A).await }
    });
    sleep(Duration::from_millis(50)).await;
    assert!(!waits.is_finished());
    places.pop();
    assert!(waits.await.expect("does not panic").is_ok());
    drop(places);
    assert!(house.lock().is_empty());
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_ever_and_nobody_joins_a_queue_that_stands_for_long() {
    let house = house();
    let places: Vec<Place> = (0..4).map(|_| enter_at_once(&house, A).expect("is free")).collect();
    let begun = Instant::now();
    assert_eq!(enter(&house, A).await.err(), Some(Why::Waited));
    assert_eq!(begun.elapsed(), Duration::from_millis(500));
    let mut waiting = JoinSet::new();
    for _ in 0..4 {
        let house = house.clone();
        waiting.spawn(async move { enter(&house, A).await.err() });
    }
    sleep(Duration::from_millis(99)).await;
    let fifth = timeout(Duration::from_millis(1), enter(&house, A)).await;
    assert!(fifth.is_err(), "in a burst it waits for its turn, which comes after all four places");
    let begun = Instant::now();
    assert_eq!(enter(&house, A).await.err(), Some(Why::Full));
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert_eq!(waiting.join_all().await, [Some(Why::Waited); 4]);
    drop(places);
    assert!(house.lock().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_deadline_would_pass_in_the_queue_is_told_at_once() {
    let house = house();
    // Calls take 100 ms.
    for _ in 0..2_000 {
        house.lock().leave_after(Duration::from_millis(100));
    }
    let _places: Vec<Place> = (0..4).map(|_| enter_at_once(&house, A).expect("is free")).collect();
    let begun = Instant::now();
    let soon = enter_by(&house, A, begun + Duration::from_millis(120)).await;
    assert_eq!(soon.err(), Some(Why::Deadline));
    assert_eq!(begun.elapsed(), Duration::ZERO);
    let later = enter_by(&house, A, begun + Duration::from_millis(250)).await;
    assert_eq!(later.err(), Some(Why::Waited));
    assert_eq!(begun.elapsed(), Duration::from_millis(150), "what it takes is left of the deadline");
}

#[tokio::test(start_paused = true)]
async fn who_hangs_up_leaves_no_trace() {
    let house = house();
    let places: Vec<Place> = (0..4).map(|_| enter_at_once(&house, A).expect("is free")).collect();
    for _ in 0..20 {
        let waits = timeout(Duration::from_millis(1), enter(&house, A)).await;
        assert!(waits.is_err(), "it waits, although many have before");
    }
    drop(places);
    assert!(house.lock().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_party_alone_has_everything_and_gives_back_when_others_come() {
    let house = house();
    let mut of_a: Vec<Place> = (0..4).map(|_| enter_at_once(&house, A).expect("is free")).collect();
    assert_eq!(enter_at_once(&house, B).err(), Some(Why::Full));
    // From now on it has two at the most.
    of_a.truncate(2);
    assert_eq!(enter_at_once(&house, A).err(), Some(Why::Full));
    let of_b: Vec<Place> = (0..2).map(|_| enter_at_once(&house, B).expect("is B's")).collect();
    drop((of_a, of_b));
    sleep(Duration::from_secs(11)).await;
    let first = enter_at_once(&house, A).expect("is free");
    let _rest: Vec<Place> = (0..3).map(|_| enter_at_once(&house, A).expect("alone again")).collect();
    drop(first);
}

/// One party calls fifty times as often as another, which notices nothing.
#[tokio::test(start_paused = true)]
async fn a_noisy_party_waits_for_itself() {
    let house = house();
    let mut calls = JoinSet::new();
    for tick in 0..2_000_u64 {
        let party = if tick % 50 == 0 { B } else { A };
        let house = house.clone();
        calls.spawn(async move {
            sleep(Duration::from_millis(tick)).await;
            let came = Instant::now();
            let outcome = enter(&house, party).await;
            let waited = came.elapsed();
            if let Ok(_place) = &outcome {
                // Ten times what the places can do.
                sleep(Duration::from_millis(20)).await;
            }
            (party.0, outcome.is_ok(), waited)
        });
    }
    let (mut worked, mut shed, mut longest) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    while let Some(call) = calls.join_next().await {
        let (party, is_in, waited) = call.expect("does not panic");
        *if is_in { &mut worked } else { &mut shed }.entry(party).or_insert(0) += 1;
        let longest = longest.entry(party).or_insert(Duration::ZERO);
        *longest = waited.max(*longest);
    }
    assert_eq!((worked[&2], shed.get(&2)), (40, None), "B is served");
    assert!(longest[&2] <= Duration::from_millis(20), "{longest:?}");
    // Two places of A's for two seconds of 20 ms each, give or take the beginning.
    assert!((190..=240).contains(&worked[&1]), "{worked:?}");
    assert!(house.lock().is_empty());
}

#[tokio::test(start_paused = true)]
async fn many_parties_take_turns() {
    let house = house();
    let places: Vec<Place> = (0..4).map(|_| enter_at_once(&house, Party(9)).expect("is free")).collect();
    let mut calls = JoinSet::new();
    // Four of A's come first, then one of each other.
    for party in [A, A, A, A, B, Party(3)] {
        let house = house.clone();
        calls.spawn(async move {
            let place = enter(&house, party).await;
            sleep(Duration::from_millis(10)).await;
            drop(place);
            party.0
        });
        tokio::task::yield_now().await;
    }
    sleep(Duration::from_millis(1)).await;
    let mut order = Vec::new();
    // One place, from hand to hand.
    let mut places = places.into_iter();
    drop(places.next());
    while let Some(call) = calls.join_next().await {
        order.push(call.expect("does not panic"));
    }
    assert_eq!(order, [1, 2, 3, 1, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_full_memory_turns_away_whoever_matters_less_and_takes_nobody_out() {
    let house = house();
    let bulk = house.enter_at_once(Class::Bulk, A).expect("there is memory");
    house.press(Pressure::Interactive);
    assert_eq!(house.enter_at_once(Class::Bulk, A).err(), Some(Why::Memory));
    assert_eq!(enter(&house, A).await.err(), Some(Why::Memory));
    let rest =
        [Class::Ingest, Class::Redirect].map(|class| house.enter_at_once(class, A).expect("matters more"));
    house.press(Pressure::None);
    assert!(enter(&house, A).await.is_ok());
    drop((bulk, rest));
    assert!(house.lock().is_empty());
}
