//! QR codes of links: how they are asked for, by members of the workspace and by everybody.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::{get, wire};
use crate::{
    env::Env,
    error::{Error, Result, Violations},
    ids::LinkId,
    pb::v1::{GetQrCodeResponse, QrErrorLevel, QrFormat, QrStyle},
    qr::{self, Colour, Format, Level, Logo, SIZE, Style, Undrawable, Wrong},
    workspaces::Tenant,
};

/// How many codes are drawn at once for members.
const AT_ONCE: usize = 2;
const COLOUR: &str = "must be a colour such as #1a2b3c";

struct Drawing(Arc<Semaphore>);

/// Draws the code of a link.
pub(super) async fn draw(
    env: &Env,
    tenant: &Tenant,
    link: LinkId,
    style: Style,
) -> Result<GetQrCodeResponse> {
    let link = get(env, tenant, link).await?;
    let text = wire::link(&env.config, link).short_url;
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
pub(super) fn read(style: Option<QrStyle>) -> Result<Style> {
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
    let logo = if style.logo.is_empty() { None } else { wrong.take("style.logo", Logo::read(&style.logo)) };
    let level = match QrErrorLevel::try_from(style.error_level) {
        Ok(QrErrorLevel::Unspecified) if style.logo.is_empty() => Level::Medium,
        Ok(QrErrorLevel::Unspecified | QrErrorLevel::High) => Level::High,
        Ok(QrErrorLevel::Low) => Level::Low,
        Ok(QrErrorLevel::Medium) => Level::Medium,
        Ok(QrErrorLevel::Quartile) => Level::Quartile,
        Err(_) => {
            wrong.add("style.error_level", "is no level this server knows");
            Level::High
        }
    };
    let default = Style::default();
    let mut colour = |field: &str, text: &str, otherwise: Colour| {
        if text.is_empty() {
            return otherwise;
        }
        wrong.take(field, Colour::parse(text).ok_or(COLOUR)).unwrap_or(otherwise)
    };
    let read = Style {
        format,
        size: number(style.size, SIZE),
        dark: colour("style.color", &style.color, default.dark),
        light: colour("style.background_color", &style.background_color, default.light),
        margin: number(style.margin, default.margin),
        level,
        logo,
        caption: style.caption,
    };
    for one in read.wrong() {
        wrong.add(format!("style.{}", field(one)), one.description());
    }
    wrong.into_result(read)
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
        let style =
            read_query("format=SVG&size=1024&color=%23112233&bgcolor=eeeeee&margin=6&level=h&utm_source=x");
        let style = style.expect("good");
        assert_eq!(
            (style.format, style.size, style.margin, style.level),
            (Format::Svg, 1024, 6, Level::High)
        );
        assert_eq!((style.dark, style.light), (Colour([0x11, 0x22, 0x33]), Colour([0xee; 3])));
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
        ] {
            assert!(read_query(query).is_err(), "{query}");
        }
    }

    #[test]
    fn everything_that_is_wrong_with_a_style_is_said() {
        let error = read(Some(QrStyle {
            format: 9,
            size: -1,
            color: "blue".into(),
            background_color: "#000".into(),
            margin: 1,
            error_level: 9,
            logo: b"GIF89a".as_slice().into(),
            caption: "ä".into(),
        }))
        .expect_err("everything");
        let mut fields: Vec<_> = error.violations().iter().map(|wrong| &*wrong.field).collect();
        fields.sort_unstable();
        let expected =
            ["background_color", "caption", "color", "error_level", "format", "logo", "margin", "size"];
        assert_eq!(fields, expected.map(|field| format!("style.{field}")));
        assert_eq!(read(None).expect("good"), Style::default());
    }
}
