//! Descriptions of isolated plugins on disk, so that a check need not start their processes.
//! A file that cannot be read, or says something else than it should, is as good as none.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use engine::classifier::Transport;
use serde::{Deserialize, Serialize};

use super::protocol::PROTOCOL;
use crate::description::About;

/// Moves when the files mean something else.
const SCHEMA_VERSION: u32 = 1;

#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    schema_version: u32,
    protocol: u32,
    transport: String,
    file_digest: String,
    about: About,
}

fn path_of(folder: &Path, digest: &str) -> PathBuf {
    folder.join(format!("{digest}.json"))
}

/// What the file with this digest said of itself once.
pub(crate) fn read(folder: &Path, digest: &str, transport: Transport) -> Option<About> {
    let text = fs::read(path_of(folder, digest)).ok()?;
    let stored: Stored = serde_json::from_slice(&text).ok()?;
    let fits = stored.schema_version == SCHEMA_VERSION
        && stored.protocol == PROTOCOL
        && stored.transport == transport.word()
        && stored.file_digest == digest;
    (fits && stored.about.check().is_ok()).then_some(stored.about)
}

/// Keeps a description; where that fails, the next check asks the plugin again.
pub(crate) fn write(folder: &Path, digest: &str, transport: Transport, about: &About) {
    let stored = Stored {
        schema_version: SCHEMA_VERSION,
        protocol: PROTOCOL,
        transport: transport.word().to_owned(),
        file_digest: digest.to_owned(),
        about: about.clone(),
    };
    let save = || -> std::io::Result<()> {
        let text = serde_json::to_vec(&stored)?;
        fs::create_dir_all(folder)?;
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(&text)?;
        file.persist(path_of(folder, digest))?;
        Ok(())
    };
    // Nothing depends on it but the time of the next check.
    let _ = save();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_ones_are_none() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("plugins-v1");
        let about = About {
            name: "a".into(),
            version: "1.0.0".into(),
            description: "d".into(),
            licence: "MIT".into(),
            capabilities: vec![],
            params_schema: serde_json::json!({ "type": "object" }),
        };
        let read_program = || read(&folder, "00ff", Transport::Program);
        assert_eq!(read_program(), None);
        write(&folder, "00ff", Transport::Program, &about);
        assert_eq!(read_program(), Some(about));
        assert_eq!(read(&folder, "00ff", Transport::Library), None);
        let path = path_of(&folder, "00ff");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace("\"name\":\"a\"", "\"name\":\"A b\"")).unwrap();
        assert_eq!(read_program(), None);
        fs::write(&path, &text[..text.len() / 2]).unwrap();
        assert_eq!(read_program(), None);
        fs::write(&path, text.replace("00ff", "ff00")).unwrap();
        assert_eq!(read_program(), None);
    }
}
