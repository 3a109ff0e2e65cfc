//! Measures `complement-nb` out of fold; see `plugin_sdk::evaluate`.
//!
//! ```text
//! cargo run --release -p classifier-complement-nb --example complement_nb -- FILE.csv[.gz] [JSON] [THREADS]
//! ```

#![allow(clippy::print_stdout)]

use classifier_complement_nb::ComplementNb;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    println!("{}", plugin_sdk::evaluate::out_of_fold::<ComplementNb>(&arguments)?);
    Ok(())
}
