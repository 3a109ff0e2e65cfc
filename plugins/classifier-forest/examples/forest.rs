//! Measures `forest` out of fold; see `plugin_sdk::evaluate`.
//!
//! ```text
//! cargo run --release -p classifier-forest --example forest -- FILE.csv[.gz] [JSON] [THREADS]
//! ```

#![allow(clippy::print_stdout)]

use classifier_forest::Forest;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    println!("{}", plugin_sdk::evaluate::out_of_fold::<Forest>(&arguments)?);
    Ok(())
}
