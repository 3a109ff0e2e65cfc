//! Checks that cost time and came out well before: the world remembers them by a fingerprint.
//!
//! What is found wrong is never remembered, so a message is always made anew.

use engine::Hasher;
use plan::{Schema, World};

/// Does a check unless the same one came out well before.
///
/// `what` names the check and holds all it depends on besides the schema.
pub(crate) fn once<E>(
    world: &dyn World,
    what: &[&str],
    schema: &Schema,
    check: impl FnOnce() -> Result<(), E>,
) -> Result<(), E> {
    let mut hasher = Hasher::new();
    hasher.update(&(what.len() as u64).to_le_bytes());
    what.iter().for_each(|part| hasher.field(part.as_bytes()));
    hasher.update(&[u8::from(schema.open)]);
    for column in &schema.columns {
        hasher.field(column.name.as_bytes());
        hasher.update(&[column.column_type as u8]);
    }
    let fingerprint = *hasher.finish().as_bytes();
    if world.was_sound(&fingerprint) {
        return Ok(());
    }
    check()?;
    world.note_sound(&fingerprint);
    Ok(())
}
