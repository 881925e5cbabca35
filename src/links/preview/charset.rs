//! In which characters a page is written: a mark at its beginning, then what the host says, then what the page says of itself, then UTF-8 if it
//! can be that, and what the web was written in before otherwise (WHATWG HTML, "determining the character encoding"); pure.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252, X_USER_DEFINED};

use super::page;

/// How much of a page may stand before it says so. Browsers read 1,024 bytes, but pages are made with them waiting for more.
const PRESCAN: usize = 4096;

/// Returns the charset among the parameters of a content type.
pub(super) fn of_parameters(parameters: &str) -> Option<&str> {
    parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches(['"', '\'']))
    })
}

/// Makes text of a page. `told` is what its host says of its characters. What cannot be read becomes `�`.
pub(super) fn decode<'a>(bytes: &'a [u8], told: Option<&str>) -> Cow<'a, str> {
    if let Some((encoding, mark)) = Encoding::for_bom(bytes) {
        return encoding.decode_without_bom_handling(&bytes[mark..]).0;
    }
    let encoding = told.and_then(named).or_else(|| of_itself(bytes)).unwrap_or_else(|| guess(bytes));
    encoding.decode_without_bom_handling(bytes).0
}

fn named(label: &str) -> Option<&'static Encoding> {
    Encoding::for_label(label.as_bytes())
}

fn of_itself(bytes: &[u8]) -> Option<&'static Encoding> {
    let beginning = &bytes[..bytes.len().min(PRESCAN)];
    // Whatever it is, its tags are ASCII.
    let (text, _) = WINDOWS_1252.decode_without_bom_handling(beginning);
    let encoding = named(&page::charset(&text)?)?;
    // Whoever could read that was not reading UTF-16.
    if encoding == UTF_16LE || encoding == UTF_16BE {
        Some(UTF_8)
    } else if encoding == X_USER_DEFINED {
        Some(WINDOWS_1252)
    } else {
        Some(encoding)
    }
}

fn guess(bytes: &[u8]) -> &'static Encoding {
    match str::from_utf8(bytes) {
        Ok(_) => UTF_8,
        // The end may be cut.
        Err(error) if error.error_len().is_none() => UTF_8,
        Err(_) => WINDOWS_1252,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_wins_then_the_host_then_the_page() {
        let latin = b"<title>caf\xe9</title>";
        let japanese = b"<meta charset=Shift_JIS><title>\x93\xfa\x96\x7b</title>";
        let old = b"<META http-equiv='Content-Type' content='text/html; charset=windows-1251'><title>\xcf\xf0</title>";
        for (bytes, told, expected) in [
            ("<title>café</title>".as_bytes(), None, "<title>café</title>"),
            (latin, None, "<title>café</title>"),
            (latin, Some("iso-8859-2"), "<title>café</title>"),
            (b"<title>caf\xc3", None, "<title>caf\u{fffd}"),
            (japanese, None, "<meta charset=Shift_JIS><title>日本</title>"),
            (japanese, Some("windows-1252"), "<meta charset=Shift_JIS><title>“ú–{</title>"),
            (japanese, Some("no-such"), "<meta charset=Shift_JIS><title>日本</title>"),
            (
                old,
                None,
                "<META http-equiv='Content-Type' content='text/html; charset=windows-1251'><title>Пр</title>",
            ),
            (b"\xef\xbb\xbf<title>\xc3\xa9", Some("windows-1252"), "<title>é"),
            (b"\xff\xfe<\0t\0", None, "<t"),
            (b"<meta charset=utf-16><title>\xc3\xa9", None, "<meta charset=utf-16><title>é"),
            (b"", Some("utf-8"), ""),
        ] {
            assert_eq!(decode(bytes, told), expected, "{told:?} {}", bytes.escape_ascii());
        }
    }

    #[test]
    fn the_host_says_it_behind_the_type() {
        for (parameters, charset) in [
            (" charset=utf-8", Some("utf-8")),
            ("boundary=x; Charset=\"Shift_JIS\"", Some("Shift_JIS")),
            (" charset", None),
            ("", None),
        ] {
            assert_eq!(of_parameters(parameters), charset, "{parameters}");
        }
    }
}
