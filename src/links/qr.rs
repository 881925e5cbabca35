//! QR codes of links: how they are asked for, by members of the workspace and by everybody.

use std::sync::Arc;

use bytes::Bytes;
use chrono::Duration;
use quick_cache::{Weighter, sync::Cache};
use tokio::sync::Semaphore;

use super::{
    Fetch,
    fetch::{Wanted, unreadable},
    get, wire,
};
use crate::{
    clock::Moment,
    env::Env,
    error::{Error, Reason, Result, Violations},
    ids::{LinkId, WorkspaceId},
    pb::v1::{GetQrCodeResponse, QrCaptionPlace, QrErrorLevel, QrFormat, QrFrame, QrStyle},
    qr::{
        self, CaptionPlace, Colour, Format, Frame, Level, Logo, MAX_LOGO_BYTES, SIZE, Style, Undrawable,
        Wrong,
    },
    workspaces::Tenant,
};

/// How many codes are drawn at once for members.
const AT_ONCE: usize = 2;
const COLOUR: &str = "must be a colour such as #1a2b3c";
/// How long a logo of a URL is remembered: who looks for the right colours asks again and again.
const REMEMBERED: Duration = Duration::minutes(10);
/// Bytes of such logos.
const LOGO_BYTES: u64 = 8 * 1024 * 1024;
/// How many they may be.
const LOGOS: usize = 256;

struct Drawing(Arc<Semaphore>);

/// Logos that were fetched, as files, each for the workspace that asked for it.
struct Logos(Cache<(WorkspaceId, String), (Moment, Bytes), Weight>);

#[derive(Clone)]
struct Weight;

impl Weighter<(WorkspaceId, String), (Moment, Bytes)> for Weight {
    fn weight(&self, (_, url): &(WorkspaceId, String), (_, file): &(Moment, Bytes)) -> u64 {
        (url.len() + file.len() + 128) as u64
    }
}

/// Where a logo comes from.
#[derive(Debug, PartialEq, Eq)]
enum Source {
    /// There is none.
    None,
    /// It was sent.
    Sent(Box<Logo>),
    /// It is at a URL.
    At(String),
}

/// How somebody wants a code.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Asked {
    style: Style,
    logo: Source,
}

/// Draws the code of a link.
pub(super) async fn draw(
    env: &Env,
    fetch: &Fetch,
    tenant: &Tenant,
    link: LinkId,
    asked: Asked,
) -> Result<GetQrCodeResponse> {
    let link = get(env, tenant, link).await?;
    let text = wire::link(&env.config, link).short_url;
    let Asked { mut style, logo } = asked;
    style.logo = match logo {
        Source::None => None,
        Source::Sent(logo) => Some(*logo),
        Source::At(url) => Some(logo_at(env, fetch, tenant, url).await?),
    };
    let places = env.memory.of(|| Drawing(Arc::new(Semaphore::new(AT_ONCE))));
    let place = places.0.clone().acquire_owned().await.map_err(Error::internal)?;
    let drawn = text.clone();
    let drawing = tokio::task::spawn_blocking(move || {
        let _place = place;
        qr::draw(&drawn, &style)
    });
    let picture = drawing.await.map_err(Error::internal)?.map_err(|wrong| {
        let (field, description) = undrawable(wrong);
        Error::invalid_field(format!("style.{field}"), description)
    })?;
    let content_type = picture.content_type.to_owned();
    Ok(GetQrCodeResponse { image: picture.bytes.into(), content_type, text })
}

/// Returns the logo at a URL, as it is or was a while ago.
async fn logo_at(env: &Env, fetch: &Fetch, tenant: &Tenant, url: String) -> Result<Logo> {
    let logos = env.memory.of(|| Logos(Cache::with_weighter(LOGOS, LOGO_BYTES, Weight)));
    let key = (tenant.id, url);
    let now = env.now();
    if let Some((when, file)) = logos.0.get(&key)
        && now - when < REMEMBERED
        && let Ok(logo) = read_logo(file).await?
    {
        return Ok(logo);
    }
    let wanted = Wanted { accept: "image/png,image/jpeg", bytes: MAX_LOGO_BYTES };
    let fetched = fetch.get(env, tenant, ("style.logo_url", &key.1), wanted).await?;
    if fetched.response.truncated {
        return Err(Error::new(Reason::FetchTooLarge, "the logo has more than 524,288 bytes"));
    }
    let file = fetched.response.body.clone();
    let logo = read_logo(file.clone()).await?;
    let logo = logo.map_err(|why| unreadable(&fetched, format!("what is there is no logo: it {why}")))?;
    logos.0.insert(key, (now, file));
    Ok(logo)
}

/// Reads a logo, where waiting for it disturbs nobody.
async fn read_logo(file: Bytes) -> Result<Result<Logo, &'static str>> {
    tokio::task::spawn_blocking(move || Logo::read(&file)).await.map_err(Error::internal)
}

/// Says which part of a style is to blame that a code cannot be drawn, and what would do.
pub fn undrawable(wrong: Undrawable) -> (&'static str, String) {
    match wrong {
        Undrawable::TooSmall { least } => {
            ("size", format!("must be at least {least} for this link, margin and error level"))
        }
        Undrawable::CaptionTooLong => ("caption", "has no room at this size".to_owned()),
        Undrawable::TooMuch => ("error_level", "must be lower for so long a short URL".to_owned()),
    }
}

/// Reads how a code shall look.
pub(super) async fn read(style: Option<QrStyle>) -> Result<Asked> {
    let style = style.unwrap_or_default();
    let mut wrong = Violations::default();
    let format = match QrFormat::try_from(style.format) {
        Ok(QrFormat::Unspecified | QrFormat::Png) => Format::Png,
        Ok(QrFormat::Svg) => Format::Svg,
        Err(_) => {
            wrong.add("style.format", "is no format this server knows");
            Format::Png
        }
    };
    let frame = match QrFrame::try_from(style.frame) {
        Ok(QrFrame::Unspecified | QrFrame::None) => Frame::None,
        Ok(QrFrame::Border) => Frame::Border,
        Ok(QrFrame::Rounded) => Frame::Rounded,
        Ok(QrFrame::Badge) => Frame::Badge,
        Err(_) => {
            wrong.add("style.frame", "is no frame this server knows");
            Frame::None
        }
    };
    let caption_place = match QrCaptionPlace::try_from(style.caption_place) {
        Ok(QrCaptionPlace::Unspecified | QrCaptionPlace::Below) => CaptionPlace::Below,
        Ok(QrCaptionPlace::Above) => CaptionPlace::Above,
        Err(_) => {
            wrong.add("style.caption_place", "is no place this server knows");
            CaptionPlace::Below
        }
    };
    let has_logo = !style.logo.is_empty() || !style.logo_url.is_empty();
    if !style.logo.is_empty() && !style.logo_url.is_empty() {
        wrong.add("style.logo_url", "must not be set together with style.logo");
    }
    let logo = if style.logo.is_empty() {
        if style.logo_url.is_empty() { Source::None } else { Source::At(style.logo_url) }
    } else {
        let logo = wrong.take("style.logo", read_logo(style.logo).await?);
        logo.map_or(Source::None, |logo| Source::Sent(Box::new(logo)))
    };
    let level = match QrErrorLevel::try_from(style.error_level) {
        Ok(QrErrorLevel::Quartile) => Level::Quartile,
        Ok(QrErrorLevel::High) => Level::High,
        // They do not bear what a logo covers.
        Ok(_) if has_logo => Level::High,
        Ok(QrErrorLevel::Unspecified | QrErrorLevel::Medium) => Level::Medium,
        Ok(QrErrorLevel::Low) => Level::Low,
        Err(_) => {
            wrong.add("style.error_level", "is no level this server knows");
            Level::High
        }
    };
    let default = Style::default();
    let mut colour = |field: &str, text: &str| {
        if text.is_empty() { None } else { wrong.take(field, Colour::parse(text).ok_or(COLOUR)) }
    };
    let read = Style {
        format,
        size: number(style.size, SIZE),
        dark: colour("style.color", &style.color).unwrap_or(default.dark),
        light: colour("style.background_color", &style.background_color).unwrap_or(default.light),
        margin: number(style.margin, default.margin),
        level,
        logo: None,
        caption: style.caption,
        caption_place,
        frame,
        frame_colour: colour("style.frame_color", &style.frame_color),
    };
    for one in read.wrong() {
        wrong.add(format!("style.{}", field(one)), one.description());
    }
    wrong.into_result(Asked { style: read, logo })
}

/// Reads a number, of which 0 means nothing was said and a negative one is as wrong as one that is too large.
fn number(given: i32, otherwise: u32) -> u32 {
    if given == 0 { otherwise } else { u32::try_from(given).unwrap_or(u32::MAX) }
}

const fn field(wrong: Wrong) -> &'static str {
    match wrong {
        Wrong::Size => "size",
        Wrong::Contrast | Wrong::Inverted => "color",
        Wrong::Margin => "margin",
        Wrong::Level => "error_level",
        Wrong::Caption => "caption",
        Wrong::Frame => "frame",
        Wrong::FrameContrast => "frame_color",
    }
}

/// Reads how everybody may ask for a code: the query of its address. What it does not know it passes over.
pub fn read_query(query: &str) -> Result<Style, String> {
    let mut style = Style::default();
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        let whole = || value.parse::<u32>().map_err(|_| format!("{name} must be a number"));
        let colour = || Colour::parse(&value).ok_or_else(|| format!("{name} {COLOUR}"));
        match &*name {
            "format" => {
                style.format = match &*value.to_ascii_lowercase() {
                    "png" => Format::Png,
                    "svg" => Format::Svg,
                    _ => return Err("format must be png or svg".to_owned()),
                }
            }
            "size" => style.size = whole()?,
            "margin" => style.margin = whole()?,
            "color" => style.dark = colour()?,
            "bgcolor" => style.light = colour()?,
            "framecolor" => style.frame_colour = Some(colour()?),
            // A badge has a caption, and nobody but members puts words below a code.
            "frame" => {
                style.frame = match &*value.to_ascii_lowercase() {
                    "none" => Frame::None,
                    "border" => Frame::Border,
                    "rounded" => Frame::Rounded,
                    _ => return Err("frame must be none, border or rounded".to_owned()),
                }
            }
            "level" => {
                style.level = match &*value.to_ascii_uppercase() {
                    "L" => Level::Low,
                    "M" => Level::Medium,
                    "Q" => Level::Quartile,
                    "H" => Level::High,
                    _ => return Err("level must be L, M, Q or H".to_owned()),
                }
            }
            _ => {}
        }
    }
    match style.wrong().first() {
        Some(wrong) => Err(format!("{} {}", field(*wrong), wrong.description())),
        None => Ok(style),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_says_how_a_code_looks() {
        let style = read_query(
            "format=SVG&size=1024&color=%23112233&bgcolor=eeeeee&margin=6&level=h&frame=Rounded&framecolor=7a0000&utm_source=x",
        );
        let style = style.expect("good");
        assert_eq!(
            (style.format, style.size, style.margin, style.level),
            (Format::Svg, 1024, 6, Level::High)
        );
        assert_eq!((style.dark, style.light), (Colour([0x11, 0x22, 0x33]), Colour([0xee; 3])));
        assert_eq!((style.frame, style.frame_colour), (Frame::Rounded, Some(Colour([0x7a, 0, 0]))));
        assert_eq!(read_query(""), Ok(Style::default()));
        for query in [
            "format=gif",
            "size=127",
            "size=2049",
            "size=abc",
            "size=-1",
            "color=red",
            "color=%23abc",
            "bgcolor=",
            "color=ffffff&bgcolor=000000",
            "color=888888&bgcolor=999999",
            "margin=3",
            "margin=41",
            "level=X",
            "frame=badge",
            "framecolor=dddddd",
        ] {
            assert!(read_query(query).is_err(), "{query}");
        }
    }

    #[tokio::test]
    async fn everything_that_is_wrong_with_a_style_is_said() {
        let asked = read(Some(QrStyle {
            format: 9,
            size: -1,
            color: "blue".into(),
            background_color: "#000".into(),
            margin: 1,
            error_level: 9,
            logo: b"GIF89a".as_slice().into(),
            caption: "ä".into(),
            logo_url: "https://cdn.example/logo.png".into(),
            frame: 9,
            frame_color: "#eeeeee".into(),
            caption_place: 9,
        }));
        let error = asked.await.expect_err("everything");
        let mut fields: Vec<_> = error.violations().iter().map(|wrong| &*wrong.field).collect();
        fields.sort_unstable();
        let expected = [
            "background_color",
            "caption",
            "caption_place",
            "color",
            "error_level",
            "format",
            "frame",
            "frame_color",
            "logo",
            "logo_url",
            "margin",
            "size",
        ];
        assert_eq!(fields, expected.map(|field| format!("style.{field}")));
        let badge = QrStyle { frame: QrFrame::Badge.into(), ..QrStyle::default() };
        let error = read(Some(badge)).await.expect_err("without a caption");
        assert_eq!(error.violations()[0].field, "style.frame");
        let plain = Asked { style: Style::default(), logo: Source::None };
        assert_eq!(read(None).await.expect("good"), plain);
        let covered = QrStyle {
            error_level: QrErrorLevel::Low.into(),
            logo_url: "https://cdn.example/logo.png".into(),
            ..QrStyle::default()
        };
        let covered = read(Some(covered)).await.expect("good");
        assert_eq!(covered.style.level, Level::High, "raised, or nobody could read it");
        assert_eq!(covered.logo, Source::At("https://cdn.example/logo.png".into()));
    }
}
