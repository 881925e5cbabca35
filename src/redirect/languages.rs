//! The Accept-Language header (RFC 9110, 12.5.4).

/// The highest quality.
const BEST: u16 = 1000;

/// What a visitor reads.
#[derive(Debug)]
pub(super) struct Languages<'a> {
    tags: Vec<(&'a str, u16)>,
    /// The quality of what is liked best; at least 1, since 0 says "not this".
    best: u16,
}

impl<'a> Languages<'a> {
    /// Reads the header.
    pub fn of(header: &'a str) -> Self {
        let tags: Vec<_> = tags(header).collect();
        let best = tags.iter().map(|(_, quality)| *quality).max().unwrap_or(0).max(1);
        Self { tags, best }
    }

    /// Returns the tags that have at least this quality, or the highest of the header.
    pub fn liked(&self, min_quality: Option<u16>) -> impl Iterator<Item = &'a str> {
        let least = min_quality.map_or(self.best, |quality| quality.max(1));
        self.tags.iter().filter(move |(_, quality)| *quality >= least).map(|(tag, _)| *tag)
    }
}

/// Returns the tags of an Accept-Language header with their qualities in thousandths. `*` is no language.
pub(super) fn tags(header: &str) -> impl Iterator<Item = (&str, u16)> {
    let parts = header.split(',').map(|part| part.split_once(';').unwrap_or((part, "")));
    let named = parts
        .map(|(tag, parameters)| (tag.trim(), parameters))
        .filter(|(tag, _)| !tag.is_empty() && *tag != "*");
    named.filter_map(|(tag, parameters)| Some((tag, quality(parameters)?)))
}

/// Reads the quality of a tag, in thousandths; `None` when it is none.
fn quality(parameters: &str) -> Option<u16> {
    if parameters.is_empty() {
        return Some(BEST);
    }
    let mut pieces = parameters.split(';').map(str::trim);
    let quality = pieces.find_map(|piece| piece.strip_prefix("q=").or_else(|| piece.strip_prefix("Q=")));
    let quality = quality.map_or(Some(1.0), |quality| quality.trim().parse::<f32>().ok())?;
    (0.0..=1.0).contains(&quality).then_some((quality * 1000.0) as u16)
}
