//! QR codes: what anybody gets, and what members do.

use std::io::Cursor;

use http::Method;
use linkforty::{
    links::timestamp,
    pb::v1::{
        GetQrCodeRequest, GetQrCodeResponse, Link, QrCaptionPlace, QrErrorLevel, QrFormat, QrFrame, QrStyle,
    },
    qr::Format,
};
use tonic::Status;

use crate::support::{
    App, Says, Store, Stranger, Tenant, coded, html, link, moved, on_every_store, reason, respond, wrong,
};

/// Returns what a reader makes of a PNG.
fn read(file: &[u8]) -> String {
    let mut decoder = png::Decoder::new(Cursor::new(file));
    decoder.set_transformations(png::Transformations::EXPAND);
    let mut reader = decoder.read_info().expect("a PNG");
    let mut buffer = vec![0; reader.output_buffer_size().expect("small")];
    let frame = reader.next_frame(&mut buffer).expect("whole");
    let width = frame.width as usize;
    let pixel = |x: usize, y: usize| buffer[(y * width + x) * 3];
    let mut image = rqrr::PreparedImage::prepare_from_greyscale(width, frame.height as usize, pixel);
    let grids = image.detect_grids();
    assert_eq!(grids.len(), 1);
    grids[0].decode().expect("readable").1
}

async fn get(tenant: &Tenant, link: &str, style: Option<QrStyle>) -> Result<GetQrCodeResponse, Status> {
    let request = GetQrCodeRequest { link_id: link.to_owned(), style, ..GetQrCodeRequest::default() };
    Ok(tenant.links.clone().get_qr_code(request).await?.into_inner())
}

#[tokio::test]
async fn anybody_gets_the_code_of_a_link_and_it_leads_there() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        tenant.create(coded("spring")).await;
        let png = app.visit("/spring/qr").await;
        assert_eq!(png.status, 200);
        assert_eq!(png.header("content-type"), "image/png");
        assert_eq!(png.header("cache-control"), "public, max-age=86400");
        assert_eq!(png.header("content-disposition"), "inline; filename=\"qr-spring.png\"");
        assert_eq!(png.header("x-content-type-options"), "nosniff");
        assert_eq!(read(&png.body), "https://go.example.test/spring");
        let large = app.visit("/spring/qr?size=900&color=%23123456&margin=8&level=H").await;
        assert_eq!(read(&large.body), "https://go.example.test/spring");
        let framed = app.visit("/spring/qr?frame=rounded&framecolor=7a0000").await;
        assert_eq!(read(&framed.body), "https://go.example.test/spring");
        assert_ne!(framed.header("etag"), png.header("etag"));
        let svg = app.visit("/spring/qr?format=svg").await;
        assert_eq!(svg.header("content-type"), Format::Svg.content_type());
        assert!(svg.header("content-security-policy").contains("sandbox"));
        assert!(svg.body.starts_with(b"<svg "));
        assert_ne!(svg.header("etag"), png.header("etag"));

        let head = app.visit_as(Method::HEAD, "/spring/qr", &[]).await;
        assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
        let tag = png.header("etag").to_owned();
        let again = app.visit_as(Method::GET, "/spring/qr", &[("if-none-match", &tag)]).await;
        assert_eq!((again.status.as_u16(), again.body.len()), (304, 0));
        assert_eq!(again.header("etag"), tag);
        assert_eq!(again.header("cache-control"), "public, max-age=86400");
        let other = app.visit_as(Method::GET, "/spring/qr?size=256", &[("if-none-match", &tag)]).await;
        assert_eq!(other.status, 200);
        app.settled().await;
        assert_eq!(tenant.overview("").await.clicks, 0, "a code is no click");
    })
    .await;
}

#[tokio::test]
async fn a_link_that_leads_nowhere_has_no_code_however_often_it_was_drawn() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let made = tenant.create(coded("spring")).await;
        let tag = app.visit("/spring/qr").await.header("etag").to_owned();
        let known = async |app: &App| {
            app.visit_as(Method::GET, "/spring/qr", &[("if-none-match", &tag)]).await.status
        };
        assert_eq!(known(app).await, 304);
        let now = timestamp(app.env().now());
        let mut changed = made.clone();
        changed.etag.clear();
        changed.disable_time = Some(now);
        let changed = tenant.update(changed, &["disable_time"]).await;
        assert_eq!(known(app).await, 410);
        let mut changed = changed;
        changed.etag.clear();
        changed.disable_time = None;
        changed.active = Some(false);
        tenant.update(changed, &["disable_time", "active"]).await;
        assert_eq!(known(app).await, 404);
        tenant.delete(&made.id).await;
        assert_eq!(known(app).await, 404);
        assert_eq!(app.visit("/nobody/qr").await.status, 404);
        assert_eq!(app.visit("/qr").await.status, 404);
    })
    .await;
}

#[tokio::test]
async fn a_code_can_be_printed_before_its_link_opens() {
    let app = App::start(Store::Embedded).await;
    let tenant = app.tenant().await;
    let later = timestamp(app.env().now() + chrono::Duration::days(3));
    tenant.create(Link { start_time: Some(later), ..coded("soon") }).await;
    assert_eq!(app.visit("/soon").await.status, 404);
    assert_eq!(read(&app.visit("/soon/qr").await.body), "https://go.example.test/soon");
    app.stop().await;
}

#[tokio::test]
async fn codes_that_no_reader_could_make_out_are_refused() {
    let app = App::start(Store::Embedded).await;
    let tenant = app.tenant().await;
    tenant.create(coded("spring")).await;
    for query in [
        "size=abc",
        "size=64",
        "color=ffffff&bgcolor=000000",
        "color=aaaaaa",
        "margin=0",
        "format=gif",
        "level=Z",
        "frame=badge",
        "framecolor=dddddd",
    ] {
        let refused = app.visit(&format!("/spring/qr?{query}")).await;
        assert_eq!(refused.status, 400, "{query}");
        assert_eq!(refused.header("cache-control"), "no-store");
    }
    let long = "x".repeat(128);
    tenant.create(coded(&long)).await;
    let refused = app.visit(&format!("/{long}/qr?size=128&level=H")).await;
    assert_eq!(refused.status, 400);
    assert!(String::from_utf8_lossy(&refused.body).contains("must be at least"), "{refused:?}");
    app.stop().await;
}

#[tokio::test]
async fn one_address_gets_so_many_codes_a_minute_and_what_was_drawn_for_nothing() {
    let limits = [("RATE_LIMIT_ENABLED", "true"), ("RATE_LIMIT_MAX", "3")];
    let app = App::start_with(Store::Embedded, &limits).await;
    let tenant = app.tenant().await;
    tenant.create(link("spring", "https://example.com/")).await;
    for size in 300..303 {
        assert_eq!(app.visit(&format!("/spring/qr?size={size}")).await.status, 200);
    }
    let refused = app.visit("/spring/qr?size=303").await;
    assert_eq!(refused.status, 429);
    assert!(refused.header("retry-after").parse::<u64>().expect("seconds") > 0);
    assert_eq!(app.visit("/spring/qr?size=300").await.status, 200, "it was drawn before");
    assert_eq!(app.visit("/spring").await.status, 302);
    app.stop().await;
}

#[tokio::test]
async fn members_get_codes_with_a_logo_and_a_caption() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let made = tenant.create(coded("spring")).await;
        let plain = get(&tenant, &made.id, None).await.expect("draws");
        assert_eq!((&*plain.content_type, &*plain.text), ("image/png", &*made.short_url));
        assert_eq!(read(&plain.image), made.short_url);
        let logo = png_of(32, [200, 0, 0]);
        let style = QrStyle { logo: logo.into(), caption: "SCAN ME".into(), size: 700, ..QrStyle::default() };
        let drawn = get(&tenant, &made.id, Some(style.clone())).await.expect("draws");
        assert_eq!(read(&drawn.image), made.short_url);
        let svg = QrStyle { format: QrFormat::Svg.into(), ..style.clone() };
        let svg = get(&tenant, &made.id, Some(svg)).await.expect("draws");
        assert_eq!(svg.content_type, "image/svg+xml");
        let wrong = QrStyle {
            error_level: QrErrorLevel::Low.into(),
            color: "#ffffff".into(),
            background_color: "#000000".into(),
            ..style
        };
        let refused = get(&tenant, &made.id, Some(wrong)).await.expect_err("nobody could read it");
        assert_eq!(reason(&refused), "INVALID_FIELDS");
        let small = QrStyle { size: 128, margin: 40, ..QrStyle::default() };
        let refused = get(&tenant, &made.id, Some(small)).await.expect_err("too small");
        assert_eq!(reason(&refused), "INVALID_FIELDS");
    })
    .await;
}

#[tokio::test]
async fn a_logo_comes_from_a_url_and_is_remembered_for_a_while() {
    let stranger = Stranger::open().await;
    let app = stranger.guest(&[]).await;
    let tenant = app.tenant().await;
    let made = tenant.create(coded("spring")).await;
    let at = |path: &str| QrStyle { logo_url: stranger.url(path), ..QrStyle::default() };
    stranger.at("/logo.png", respond("200 OK", "content-type: image/png\r\n", png_of(64, [200, 0, 0])));
    stranger.at("/moved.png", moved("/logo.png"));
    let jpeg = include_bytes!("fixtures/logo/baseline.jpg");
    stranger.at("/logo.jpg", respond("200 OK", "content-type: image/jpeg\r\n", jpeg));
    let plain = get(&tenant, &made.id, None).await.expect("draws").image;
    let badge = QrStyle {
        frame: QrFrame::Badge.into(),
        frame_color: "#204080".into(),
        caption: "SCAN ME".into(),
        caption_place: QrCaptionPlace::Above.into(),
        error_level: QrErrorLevel::Low.into(),
        ..at("/logo.png")
    };
    for style in
        [at("/logo.png"), at("/moved.png"), at("/logo.jpg"), badge.clone(), QrStyle { size: 1024, ..badge }]
    {
        let drawn = get(&tenant, &made.id, Some(style)).await.expect("draws");
        assert_eq!(read(&drawn.image), made.short_url);
        assert_ne!(drawn.image, plain);
    }
    let [png, sent_on, again, jpeg] = &*stranger.heard() else { panic!("each once: {:?}", stranger.heard()) };
    assert!(png.starts_with("GET /logo.png ") && sent_on.starts_with("GET /moved.png "));
    assert!(again.starts_with("GET /logo.png ") && jpeg.starts_with("GET /logo.jpg "));
    assert!(png.contains("accept: image/png,image/jpeg\r\n"), "{png}");
    app.clock.advance(chrono::Duration::minutes(11));
    get(&tenant, &made.id, Some(at("/logo.png"))).await.expect("draws");
    assert_eq!(stranger.heard().len(), 5, "looked at anew");
    let other = app.another_tenant().await;
    let theirs = other.create(coded("theirs")).await;
    get(&other, &theirs.id, Some(at("/logo.png"))).await.expect("draws");
    assert_eq!(stranger.heard().len(), 6, "nobody learns what others fetched");

    stranger.at("/page", html("<title>no picture</title>"));
    stranger.at(
        "/svg",
        respond("200 OK", "content-type: image/svg+xml\r\n", "<svg xmlns='http://www.w3.org/2000/svg'/>"),
    );
    let head = b"HTTP/1.1 200 OK\r\ncontent-type: image/png\r\n\r\n\x89PNG".to_vec();
    stranger.at("/endless", Says::WithoutEnd(head, vec![0; 64 * 1024]));
    stranger.at("/wide", respond("200 OK", "", wide_png()));
    stranger.at("/inside", moved("http://169.254.169.254/logo.png"));
    for (path, expected) in [
        ("/page", "FETCH_UNREADABLE"),
        ("/svg", "FETCH_UNREADABLE"),
        ("/wide", "FETCH_UNREADABLE"),
        ("/none", "FETCH_STATUS"),
        ("/endless", "FETCH_TOO_LARGE"),
        ("/inside", "FETCH_REFUSED"),
    ] {
        let refused = get(&tenant, &made.id, Some(at(path))).await.expect_err(path);
        assert_eq!(reason(&refused), expected, "{path}: {refused:?}");
    }
    let inside = QrStyle { logo_url: "http://127.0.0.1/logo.png".into(), ..QrStyle::default() };
    let refused = get(&tenant, &made.id, Some(inside)).await.expect_err("inside");
    assert_eq!(wrong(&refused), ["style.logo_url"]);
    let both = QrStyle { logo: png_of(8, [0; 3]).into(), ..at("/logo.png") };
    let refused = get(&tenant, &made.id, Some(both)).await.expect_err("which one");
    assert_eq!(wrong(&refused), ["style.logo_url"]);
    let before = stranger.heard().len();
    let unknown = get(&tenant, &theirs.id, Some(at("/logo.jpg"))).await.expect_err("somebody else's");
    assert_eq!((&*reason(&unknown), stranger.heard().len()), ("NOT_FOUND", before));
    app.stop().await;
}

/// A PNG whose header says that it has 40,000 by 40,000 pixels.
fn wide_png() -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, 40_000, 40_000);
    encoder.set_color(png::ColorType::Rgb);
    drop(encoder.write_header().expect("memory takes every header"));
    file
}

fn png_of(side: u32, colour: [u8; 3]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, side, side);
    encoder.set_color(png::ColorType::Rgb);
    let pixels = vec![colour; (side * side) as usize];
    encoder
        .write_header()
        .and_then(|mut writer| writer.write_image_data(pixels.as_flattened()))
        .expect("memory takes every picture");
    file
}
