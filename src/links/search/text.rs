//! What is looked for, in the words of each database.

use sea_orm::sea_query::{Condition, Expr, SimpleExpr};

use crate::db::Dialect;

/// How many pieces of a text are looked for. Each makes it less likely that a link has all of them and not the text.
const PIECES: usize = 12;

/// Returns what holds for links whose texts contain `search`, link by link.
pub(super) fn contained(search: &str, on: Dialect) -> SimpleExpr {
    match on {
        // The expression of the index `links_search_idx`, to the letter. The collation C knows no letters but ASCII's, as
        // SQLite does.
        Dialect::Postgres => Expr::cust_with_values(
            r#"lower(("links"."short_code" || E'\n' || "links"."title" || E'\n' || "links"."description" || E'\n' || "links"."destination_url") COLLATE "C") LIKE $1 ESCAPE '!'"#,
            [pattern(search)],
        ),
        Dialect::Sqlite => Expr::cust_with_values(
            r#"lower("links"."short_code" || char(10) || "links"."title" || char(10) || "links"."description" || char(10) || "links"."destination_url") LIKE ? ESCAPE '!'"#,
            [pattern(search)],
        ),
    }
}

/// Returns what holds for rows of SQLite's `link_texts` that contain `search`, for its index to answer. That finds without regard to any
/// case, so the pattern has the last word.
pub(super) fn indexed(search: &str) -> SimpleExpr {
    Expr::cust_with_values(
        r#""number" IN (SELECT "rowid" FROM "links_search" WHERE "links_search" MATCH ?) AND lower("text") LIKE ? ESCAPE '!'"#,
        [phrase(search), pattern(search)],
    )
}

/// Returns what holds for links that the index has to look at: they have every piece of the text, wherever.
pub(super) fn candidate(pieces: &[String], on: Dialect) -> Condition {
    pieces.iter().fold(Condition::all(), |all, piece| all.add(contained(piece, on)))
}

/// Returns what the index finds a text by: three characters in a row, of letters and digits on Postgres. Without any it finds
/// nothing.
pub(super) fn pieces(search: &str, on: Dialect) -> Vec<String> {
    let characters: Vec<char> = search.chars().collect();
    let is_piece =
        |piece: &&[char]| on == Dialect::Sqlite || piece.iter().all(|character| character.is_alphanumeric());
    let mut pieces: Vec<String> =
        characters.windows(3).filter(is_piece).map(|piece| piece.iter().collect()).collect();
    pieces.sort_unstable();
    pieces.dedup();
    // Some from everywhere.
    let step = pieces.len().div_ceil(PIECES).max(1);
    pieces.into_iter().step_by(step).collect()
}

/// Returns a phrase of FTS5: in quotes it is what it says, and its quotes are doubled.
pub(super) fn phrase(search: &str) -> String {
    format!("\"{}\"", search.replace('"', "\"\""))
}

/// Returns the pattern of texts that contain `search`, which says what it means and nothing more.
fn pattern(search: &str) -> String {
    let mut pattern = String::with_capacity(search.len() + 2);
    pattern.push('%');
    for character in search.chars() {
        if matches!(character, '%' | '_' | '!') {
            pattern.push('!');
        }
        pattern.push(character.to_ascii_lowercase());
    }
    pattern.push('%');
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_searched_means_itself() {
        for (search, expected) in [
            ("spring", "%spring%"),
            ("SPRING Ä", "%spring Ä%"),
            ("100%", "%100!%%"),
            ("a_b", "%a!_b%"),
            ("wow!", "%wow!!%"),
            ("back\\slash", "%back\\slash%"),
        ] {
            assert_eq!(pattern(search), expected);
        }
        assert_eq!(phrase("a \"b\""), "\"a \"\"b\"\"\"");
    }

    #[test]
    fn the_index_knows_three_characters_in_a_row() {
        for (search, on_sqlite, on_postgres) in [
            ("", &[][..], &[][..]),
            ("ab", &[], &[]),
            ("abc", &["abc"], &["abc"]),
            ("com/c", &["com", "m/c", "om/"], &["com"]),
            ("a-b-c", &["-b-", "a-b", "b-c"], &[]),
            ("äöü", &["äöü"], &["äöü"]),
            ("aaaaa", &["aaa"], &["aaa"]),
        ] {
            assert_eq!(pieces(search, Dialect::Sqlite), on_sqlite, "{search}");
            assert_eq!(pieces(search, Dialect::Postgres), on_postgres, "{search}");
        }
        let long: String = ('!'..='~').collect();
        assert!((6..=PIECES).contains(&pieces(&long, Dialect::Sqlite).len()));
    }
}
