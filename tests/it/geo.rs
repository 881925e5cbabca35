//! Countries: out of the operator's file, in every shape, taken up anew when it changes, and stored with clicks.

use std::{fs, path::Path, time::Duration};

use http::Method;
use linkforty::{
    entity::click,
    geo::{Country, Geo},
};
use metrics_exporter_prometheus::PrometheusBuilder;
use sea_orm::{EntityTrait as _, QueryOrder as _};

use crate::support::{App, Shape, Store, cities, countries, link, stores, within};

const NETWORKS: &[(&str, &str)] =
    &[("203.0.113.0/24", "CH"), ("198.51.100.0/25", "nz"), ("2001:db8::/32", "JP"), ("10.0.0.0/8", "DE")];

/// Puts a file in the place of another in one step, as those who update such files do.
fn put(file: &Path, bytes: &[u8]) {
    let new = file.with_extension("new");
    fs::write(&new, bytes).expect("writes");
    fs::rename(new, file).expect("renames");
}

fn of(geo: &Geo, address: &str) -> String {
    let found = geo.country(address.parse().expect("an address"));
    found.as_ref().map_or("", Country::as_str).to_owned()
}

#[test]
fn a_file_of_either_shape_names_countries() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("countries.mmdb");
    for shape in [Shape::Nested, Shape::Flat] {
        put(&file, &countries(shape, NETWORKS));
        let geo = Geo::new(Some(file.clone()));
        assert_eq!(of(&geo, "203.0.113.7"), "", "not read yet");
        geo.refresh();
        for (address, expected) in [
            ("203.0.113.7", "CH"),
            ("::ffff:203.0.113.7", "CH"),
            ("203.0.114.7", ""),
            ("198.51.100.127", "NZ"),
            ("198.51.100.128", ""),
            ("2001:db8::1", "JP"),
            ("2001:db9::1", ""),
            // Whatever the file says of it.
            ("10.0.0.1", ""),
        ] {
            assert_eq!(of(&geo, address), expected, "{shape:?} {address}");
        }
    }
    let none = Geo::new(None);
    none.refresh();
    assert_eq!(of(&none, "203.0.113.7"), "");
}

#[test]
fn a_file_of_cities_names_countries_regions_and_cities() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("cities.mmdb");
    put(
        &file,
        &cities(&[
            ("203.0.113.0/24", "CH", &["ZH"], "Zurich"),
            ("198.51.100.0/24", "GB", &["ENG", "LND"], "London"),
            ("2001:db8::/32", "SG", &[], "Singapore"),
            ("192.0.2.0/24", "US", &["California"], ""),
        ]),
    );
    let geo = Geo::new(Some(file));
    geo.refresh();
    for (address, country, regions, city) in [
        ("203.0.113.7", "CH", &["CH-ZH"][..], Some("Zurich")),
        ("198.51.100.1", "GB", &["GB-ENG", "GB-LND"], Some("London")),
        ("2001:db8::1", "SG", &[], Some("Singapore")),
        // What is no code is no region, and an empty name no city.
        ("192.0.2.1", "US", &[], None),
        ("203.0.114.1", "", &[], None),
    ] {
        assert_eq!(of(&geo, address), country, "{address}");
        let address = address.parse().expect("an address");
        let found: Vec<String> =
            geo.regions(address).into_iter().flatten().map(|region| region.to_string()).collect();
        assert_eq!(found, regions, "{address}");
        assert_eq!(geo.city(address).as_deref(), city, "{address}");
    }
}

#[test]
fn a_new_file_is_taken_up_and_a_bad_one_is_not() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("countries.mmdb");
    let geo = Geo::new(Some(file.clone()));
    let after = |bytes: Option<&[u8]>| {
        match bytes {
            Some(bytes) => put(&file, bytes),
            None => fs::remove_file(&file).expect("removes"),
        }
        geo.refresh();
        of(&geo, "203.0.113.7")
    };
    geo.refresh();
    assert_eq!(of(&geo, "203.0.113.7"), "", "there is no file yet");
    let good = countries(Shape::Nested, NETWORKS);
    assert_eq!(after(Some(&good)), "CH");
    assert_eq!(after(Some(b"<html>Too many downloads today</html>")), "CH");
    assert_eq!(after(Some(&good[..good.len() / 2])), "CH");
    assert_eq!(after(None), "CH");
    assert_eq!(after(Some(&countries(Shape::Nested, &[("203.0.113.0/24", "AT")]))), "AT");
}

#[tokio::test]
async fn clicks_are_stored_with_their_country() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("countries.mmdb");
    put(&file, &countries(Shape::Flat, NETWORKS));
    let path = file.display().to_string();
    for store in stores() {
        let settings = [("TRUSTED_PROXIES", "127.0.0.0/8"), ("GEOIP_FILE", &path)];
        let app = App::start_with(store, &settings).await;
        app.tenant().await.create(link("spring", "https://example.com/any")).await;
        let visits = [
            ("203.0.113.7", Some("CH")),
            ("2001:db8::1", Some("JP")),
            ("192.0.2.1", None),
            ("10.0.0.1", None),
        ];
        for (from, _) in visits {
            app.visit_as(Method::GET, "/spring", &[("x-forwarded-for", from)]).await;
            // Ids of one moment are in no order.
            app.clock.advance(chrono::Duration::seconds(1));
        }
        app.settled().await;
        let found = click::Entity::find().order_by_asc(click::Column::Id).all(&app.env().db.api).await;
        let found = found.expect("clicks can be read");
        let found: Vec<Option<&str>> = found.iter().map(|click| click.country.as_deref()).collect();
        assert_eq!(found, visits.map(|(_, country)| country), "{store}");
        app.stop().await;
    }
}

#[test]
fn metrics_say_whether_the_file_is_good_and_how_old_it_is() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("countries.mmdb");
    let recorder = PrometheusBuilder::new().build_recorder();
    let metrics = recorder.handle();
    let good = countries(Shape::Nested, NETWORKS);
    let geo = Geo::new(Some(file.clone()));
    metrics::with_local_recorder(&recorder, || {
        for (bytes, is_good) in [(&b""[..], 0), (&good, 1), (b"<html>", 0), (&good, 1)] {
            put(&file, bytes);
            geo.refresh();
            let text = metrics.render();
            assert!(text.contains(&format!("linkforty_geoip_file_good {is_good}\n")), "{text}");
        }
        assert!(metrics.render().contains("linkforty_geoip_built_timestamp_seconds "));
    });
}

/// A node that runs takes up what somebody puts in the place of its file, and nothing that is broken.
#[tokio::test]
async fn a_running_node_takes_up_a_new_file_by_itself() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("countries.mmdb");
    put(&file, &countries(Shape::Nested, NETWORKS));
    let path = file.display().to_string();
    let settings = [("TRUSTED_PROXIES", "127.0.0.0/8"), ("GEOIP_FILE", &path)];
    let app = App::start_with(Store::Embedded, &settings).await;
    assert_eq!(of(&app.env().geo, "203.0.113.7"), "CH");
    put(&file, b"broken");
    app.env().geo.refresh();
    assert_eq!(of(&app.env().geo, "203.0.113.7"), "CH");
    put(&file, &countries(Shape::Nested, &[("203.0.113.0/24", "AT")]));
    within(Duration::from_secs(30), "the node looks at its file", async || {
        of(&app.env().geo, "203.0.113.7") == "AT"
    })
    .await;
    app.tenant().await.create(link("spring", "https://example.com/any")).await;
    app.visit_as(Method::GET, "/spring", &[("x-forwarded-for", "203.0.113.7")]).await;
    app.settled().await;
    let [kept] = &click::Entity::find().all(&app.env().db.api).await.expect("clicks can be read")[..] else {
        panic!("one click")
    };
    assert_eq!(kept.country.as_deref(), Some("AT"));
    app.stop().await;
}
