//! Store URLs: which backend, where. The only place that reads them; passwords never get further.

use std::path::Path;
use std::sync::Arc;

use crate::kept_open;
use crate::sqlite::{Access, Place, SqliteStore};
use crate::store::{ReviewStore, StoreError};

/// Opens the store at `url`, and makes it if it is not there.
///
/// `sqlite:FILE` is relative to `base_dir`; `sqlite::memory:` lives as long as it is open.
pub fn open(url: &str, base_dir: &Path) -> Result<Box<dyn ReviewStore>, StoreError> {
    let place = parse(url, base_dir)?;
    Ok(Box::new(SqliteStore::open(&place, Access::Create)?))
}

/// Opens the store at `url` if there is one; never makes it.
///
/// An absent store has an empty ledger; a store that cannot be written to can still be read.
pub fn open_existing(
    url: &str,
    base_dir: &Path,
) -> Result<Option<Arc<dyn ReviewStore>>, StoreError> {
    let place = parse(url, base_dir)?;
    if !place.exists()? {
        return Ok(None);
    }
    let opened = || Ok(Arc::new(SqliteStore::open(&place, Access::Existing)?));
    Ok(Some(kept_open::or_open(&place, opened)?))
}

/// A store URL fit for messages: whatever may be a password is left out.
pub fn redacted(url: &str) -> String {
    match scheme_of(url) {
        Some(("sqlite", _)) => url.to_owned(),
        Some((scheme, rest)) => {
            let (place, options) = rest.split_at(rest.find(['?', '#']).unwrap_or(rest.len()));
            // With an `@` that late nobody can say where the password ends.
            if options.contains('@') {
                return format!("{scheme}://(hidden)");
            }
            let place = place.rsplit_once('@').map_or(place, |(_, place)| place);
            format!("{scheme}://{}", place.trim_start_matches('/'))
        }
        None => "(no store URL)".to_owned(),
    }
}

fn parse(url: &str, base_dir: &Path) -> Result<Place, StoreError> {
    let bad = |problem: &str| StoreError::BadUrl { problem: problem.to_owned() };
    let Some((scheme, rest)) = scheme_of(url) else {
        // Not repeated here: what is no URL may still hold a password.
        return Err(bad(if url.is_empty() { "is empty" } else { "has no scheme" }));
    };
    match scheme {
        "sqlite" => {
            let path = rest.strip_prefix("//").unwrap_or(rest);
            match path {
                "" => Err(bad("names no file")),
                ":memory:" => Ok(Place::Memory),
                _ if path.contains('?') => Err(bad("has options after `?`, which SQLite has not")),
                _ if path.contains('\0') => Err(bad("has a NUL in its path")),
                _ => Ok(Place::File(base_dir.join(path))),
            }
        }
        "postgres" | "postgresql" => Err(StoreError::NotInThisBuild { scheme: scheme.to_owned() }),
        _ => Err(StoreError::UnknownScheme { scheme: scheme.to_owned() }),
    }
}

/// The scheme of a URL and what follows its colon.
fn scheme_of(url: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = url.split_once(':')?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    (scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.chars().all(plain))
        .then_some((scheme, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(url: &str) -> String {
        match open(url, Path::new("/nowhere")) {
            Ok(_) => "opened".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn urls_that_name_no_store() {
        let known = "known are `sqlite:FILE` and `sqlite::memory:`";
        assert_eq!(error(""), format!("the store URL is empty; {known}"));
        assert_eq!(error("relabel.db"), format!("the store URL has no scheme; {known}"));
        assert_eq!(error("sqlite:"), format!("the store URL names no file; {known}"));
        assert_eq!(
            error("mysql://u:secret@h/d"),
            format!("unknown store scheme `mysql:`; {known}")
        );
        assert!(error("sqlite:a.db?mode=ro").contains("options after `?`"));
    }

    #[test]
    fn postgres_is_not_there_yet_and_keeps_its_password() {
        let message = error("postgres://ann:secret@db/review");
        assert_eq!(message, "`postgres:` stores are not in this build yet; use `sqlite:FILE`");
        assert!(error("postgresql://x").starts_with("`postgresql:` stores"));
    }

    #[test]
    fn redacted_urls_have_no_password() {
        let url = "postgres://ann:se@cret@db:5432/review?password=secret";
        assert_eq!(redacted(url), "postgres://db:5432/review");
        assert_eq!(redacted("postgres://ann:se?cr@et@db/review"), "postgres://(hidden)");
        assert_eq!(redacted("sqlite:a@b.db"), "sqlite:a@b.db");
        assert_eq!(redacted("ann secret"), "(no store URL)");
    }

    #[test]
    fn files_are_relative_to_the_folder_given() {
        for (url, path) in [
            ("sqlite:a/b.db", "/base/a/b.db"),
            ("sqlite:/abs/b.db", "/abs/b.db"),
            ("sqlite:///abs/b.db", "/abs/b.db"),
            ("sqlite://b.db", "/base/b.db"),
        ] {
            assert_eq!(parse(url, Path::new("/base")).unwrap(), Place::File(path.into()), "{url}");
        }
        assert_eq!(parse("sqlite::memory:", Path::new("/base")).unwrap(), Place::Memory);
    }
}
