//! The patterns of Apple's association files; Android's are `glob.rs`. Pure.
//!
//! `*` is any number of characters, a slash among them, and `?` is one; `?*`, at least one, follows from these. `$(name)` is a substitution
//! variable.

use std::collections::BTreeMap;

/// Names and what they stand for.
pub type Variables = BTreeMap<String, Vec<String>>;

/// Whether upper and lower case differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Case {
    /// They do.
    Sensitive,
    /// They do not.
    Insensitive,
}

/// A pattern, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(char),
    One,
    Many,
    /// One character of a set that Apple names.
    Of(Set),
    /// One of the codes that Apple names.
    Code(Codes),
    Either(Vec<Vec<Part>>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Set {
    Alpha,
    Upper,
    Lower,
    Alnum,
    Digit,
    HexDigit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Codes {
    Regions,
    Languages,
}

/// The names that Apple knows, and what they stand for.
const KNOWN: [(&str, Part); 8] = [
    ("alpha", Part::Of(Set::Alpha)),
    ("upper", Part::Of(Set::Upper)),
    ("lower", Part::Of(Set::Lower)),
    ("alnum", Part::Of(Set::Alnum)),
    ("digit", Part::Of(Set::Digit)),
    ("xdigit", Part::Of(Set::HexDigit)),
    ("region", Part::Code(Codes::Regions)),
    ("lang", Part::Code(Codes::Languages)),
];

/// ISO 3166-1, and UK, which Apple names.
const REGIONS: &str = "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY \
BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF \
GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY \
KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP \
NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY \
SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UK UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW";
/// ISO 639-1. Devices know three-letter codes besides, each their own.
const LANGUAGES: &str = "aa ab ae af ak am an ar as av ay az ba be bg bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz ee el \
en eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is it iu ja jv ka kg ki kj kk \
kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt my na nb nd ne ng nl nn no nr nv ny oc oj om or \
os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg sh si sk sl sm sn so sq sr ss st su sv sw ta te tg th ti tk tl tn to tr ts tt tw \
ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu";

/// Says whether Apple knows a variable without being told.
pub fn is_known(name: &str) -> bool {
    KNOWN.iter().any(|(known, _)| *known == name)
}

impl Pattern {
    /// Reads a pattern of Apple's. Fails with the name of a variable that nobody defined; `$` without `(` and `)` is itself.
    pub fn apple(text: &str, variables: &Variables) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("$(") {
            let Some((name, after)) = after.split_once(')') else { break };
            parts.extend(plain(before));
            parts.push(variable(name, variables).ok_or_else(|| name.to_owned())?);
            rest = after;
        }
        parts.extend(plain(rest));
        Ok(Self(parts))
    }

    /// Says whether all of `text` fits.
    pub fn matches(&self, text: &str, case: Case) -> bool {
        let text: Vec<char> = text.chars().collect();
        let mut places = vec![false; text.len() + 1];
        places[0] = true;
        ends(&self.0, &text, case, places).last() == Some(&true)
    }
}

fn plain(text: &str) -> impl Iterator<Item = Part> {
    text.chars().map(|character| match character {
        '*' => Part::Many,
        '?' => Part::One,
        other => Part::Literal(other),
    })
}

fn variable(name: &str, variables: &Variables) -> Option<Part> {
    if let Some((_, part)) = KNOWN.iter().find(|(known, _)| *known == name) {
        return Some(part.clone());
    }
    let values = variables.get(name)?;
    Some(Part::Either(values.iter().map(|value| plain(value).collect()).collect()))
}

/// Returns where the parts can end when they begin at any of `places`. All ways are followed at once, so that no pattern
/// takes longer than its length times that of the text.
fn ends(parts: &[Part], text: &[char], case: Case, mut places: Vec<bool>) -> Vec<bool> {
    for part in parts {
        let mut next = vec![false; places.len()];
        match part {
            Part::Many => {
                let mut reached = false;
                for (place, next) in places.iter().zip(&mut next) {
                    reached |= place;
                    *next = reached;
                }
            }
            Part::Either(choices) => {
                for choice in choices {
                    let ends = ends(choice, text, case, places.clone());
                    next.iter_mut().zip(ends).for_each(|(next, end)| *next |= end);
                }
            }
            Part::Code(codes) => {
                for (place, pair) in text.windows(2).enumerate() {
                    next[place + 2] |= places[place] && codes.contain([pair[0], pair[1]], case);
                }
            }
            Part::Literal(_) | Part::One | Part::Of(_) => {
                for (place, character) in text.iter().enumerate() {
                    next[place + 1] = places[place] && part.takes(*character, case);
                }
            }
        }
        places = next;
    }
    places
}

impl Part {
    fn takes(&self, character: char, case: Case) -> bool {
        match self {
            Self::One => true,
            Self::Literal(literal) if case == Case::Sensitive => *literal == character,
            Self::Literal(literal) => literal.to_lowercase().eq(character.to_lowercase()),
            Self::Of(set) if case == Case::Sensitive => set.contains(character),
            Self::Of(set) => {
                set.contains(character.to_ascii_lowercase()) || set.contains(character.to_ascii_uppercase())
            }
            Self::Many | Self::Code(_) | Self::Either(_) => false,
        }
    }
}

impl Set {
    fn contains(self, character: char) -> bool {
        match self {
            Self::Alpha => character.is_ascii_alphabetic(),
            Self::Upper => character.is_ascii_uppercase(),
            Self::Lower => character.is_ascii_lowercase(),
            Self::Alnum => character.is_ascii_alphanumeric(),
            Self::Digit => character.is_ascii_digit(),
            Self::HexDigit => character.is_ascii_hexdigit(),
        }
    }
}

impl Codes {
    fn contain(self, pair: [char; 2], case: Case) -> bool {
        let (list, own_case): (&str, fn(&char) -> char) = match self {
            Self::Regions => (REGIONS, char::to_ascii_uppercase),
            Self::Languages => (LANGUAGES, char::to_ascii_lowercase),
        };
        let code: String = match case {
            Case::Sensitive => pair.iter().collect(),
            Case::Insensitive => pair.iter().map(own_case).collect(),
        };
        list.split(' ').any(|listed| listed == code)
    }
}

/// Decodes `%41` and the like; what is no code stays, and so does `+`. Bytes that are no text become the replacement character.
pub fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let digit = |byte: u8| char::from(byte).to_digit(16);
        if let [high, low, after @ ..] = after
            && *first == b'%'
            && let (Some(high), Some(low)) = (digit(*high), digit(*low))
        {
            bytes.push((high * 16 + low) as u8);
            rest = after;
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables() -> Variables {
        let food = ["burrito", "pizza", "sushi", "samosa"].map(str::to_owned).to_vec();
        let wild = vec!["a*".to_owned(), "?".to_owned(), "$(food)".to_owned()];
        [("food".to_owned(), food), ("wild".to_owned(), wild)].into()
    }

    #[test]
    fn patterns_mean_what_apple_says_they_mean() {
        for (pattern, text, sensitive, insensitive) in [
            ("", "", true, true),
            ("", "a", false, false),
            ("*", "", true, true),
            ("*", "/a/b?", true, true),
            ("?", "", false, false),
            ("?", "/", true, true),
            ("?*", "", false, false),
            ("?*", "abc", true, true),
            ("????", "abcd", true, true),
            ("????", "abcde", false, false),
            ("????", "äöüß", true, true),
            ("/buy/*", "/buy/", true, true),
            ("/buy/*", "/buy/shoes/7", true, true),
            ("/buy/*", "/buy", false, false),
            ("/buy/*", "/BUY/x", false, true),
            ("/ÄRGER", "/ärger", false, true),
            ("/*/b/*", "/a/b/b/c", true, true),
            ("*a*b*c*", "xxaxxbxxc", true, true),
            ("*a*b*c", "abcb", false, false),
            ("/$(lang)_$(region)/$(food)/", "/en_US/pizza/", true, true),
            ("/$(lang)_$(region)/$(food)/", "/en_us/pizza/", false, true),
            ("/$(lang)_$(region)/$(food)/", "/de_UK/Sushi/", false, true),
            ("/$(lang)_$(region)/$(food)/", "/xx_US/pizza/", false, false),
            ("/$(lang)_$(region)/$(food)/", "/en_US/pasta/", false, false),
            ("/$(lang)_$(region)/$(food)/", "/en_US/pizza", false, false),
            ("$(alpha)$(upper)$(lower)", "aBc", true, true),
            ("$(alpha)$(upper)$(lower)", "abc", false, true),
            ("$(alnum)$(digit)$(xdigit)", "z9F", true, true),
            ("$(alnum)$(digit)$(xdigit)", "-9F", false, false),
            ("$(alnum)$(digit)$(xdigit)", "zaF", false, false),
            ("$(alnum)$(digit)$(xdigit)", "z9g", false, false),
            ("$(wild)!", "a/long/one!", true, true),
            ("$(wild)!", "x!", true, true),
            ("$(wild)!", "xy!", false, false),
            // Values do not use other variables.
            ("$(wild)", "$(food)", true, true),
            ("$(wild)", "pizza", false, false),
            ("a$b", "a$b", true, true),
            ("a$(b", "a$(b", true, true),
            ("a)$", "a)$", true, true),
        ] {
            let read = Pattern::apple(pattern, &variables()).expect(pattern);
            assert_eq!(read.matches(text, Case::Sensitive), sensitive, "{pattern} on {text}");
            assert_eq!(read.matches(text, Case::Insensitive), insensitive, "{pattern} on {text}, any case");
        }
    }

    #[test]
    fn variables_that_nobody_defined_are_told() {
        for (pattern, unknown) in [("/$(Food)", "Food"), ("/$(food)/$()", ""), ("$(LANG)", "LANG")] {
            assert_eq!(Pattern::apple(pattern, &variables()), Err(unknown.to_owned()), "{pattern}");
        }
    }

    #[test]
    fn no_pattern_takes_long() {
        let pattern = Pattern::apple(&"*a".repeat(250), &variables()).expect("it names none");
        let almost = "ba".repeat(249) + &"b".repeat(1500);
        assert!(!pattern.matches(&almost, Case::Insensitive));
        assert!(pattern.matches(&"ba".repeat(1000), Case::Insensitive));
    }

    #[test]
    fn the_lists_hold_what_the_standards_do() {
        assert_eq!((REGIONS.split(' ').count(), LANGUAGES.split(' ').count()), (250, 184));
        for list in [REGIONS, LANGUAGES] {
            let codes: Vec<&str> = list.split(' ').collect();
            assert!(codes.is_sorted_by(|a, b| a < b) && codes.iter().all(|code| code.len() == 2));
        }
    }

    #[test]
    fn codes_are_decoded_and_nothing_else() {
        for (text, decoded) in [
            ("/a%20b", "/a b"),
            ("%C3%a4", "ä"),
            ("100%", "100%"),
            ("%4", "%4"),
            ("%zz+", "%zz+"),
            ("%ff", "\u{fffd}"),
        ] {
            assert_eq!(percent_decoded(text), decoded);
        }
    }
}
