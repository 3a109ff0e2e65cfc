//! `relabel plan`: what a run would do, and why.

use engine::UnitState;
use serde_json::{Value, json};

use crate::args::{Format, PipelineArgs};
use crate::commands::run::{Selection, selected};
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::output;

/// Shows what a run would do, and why
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pipeline: PipelineArgs,
    #[command(flatten)]
    selection: Selection,
    /// Exit with 4 if anything would run
    #[arg(long)]
    exit_code: bool,
}

pub fn run(args: &Args, context: &Context) -> Result<Exit, CliError> {
    let _stores = review_store::KeepOpen::new();
    let loaded = context.load(&args.pipeline)?;
    let (chosen, forced) = selected(&loaded.plan, &args.selection)?;
    let units = context.engine(&loaded).plan(&loaded.plan, chosen.as_deref(), &forced)?;
    let pending = units.iter().any(|unit| unit.state != UnitState::Hit);
    let reason_of = |state: &UnitState| match state {
        UnitState::Run(reason) => json!(reason.code()),
        UnitState::Blocked(why) => json!(why),
        UnitState::Hit | UnitState::Maybe => Value::Null,
    };
    match context.format {
        Format::Json => {
            let units: Vec<Value> = units
                .iter()
                .map(|unit| {
                    json!({
                        "node": unit.unit.node,
                        "variant": output::variant_json(&unit.unit.node),
                        "fold": unit.unit.fold(),
                        "part": unit.unit.part.word(),
                        "state": unit.state.code(),
                        "reason": reason_of(&unit.state),
                        "detail": match &unit.state {
                            UnitState::Run(reason) => reason.to_json(),
                            _ => Value::Null,
                        },
                    })
                })
                .collect();
            output::json(&json!({ "schema_version": 1, "units": units }));
        }
        Format::Text => {
            for unit in &units {
                let detail = match &unit.state {
                    UnitState::Hit => String::new(),
                    UnitState::Run(reason) => reason.text(),
                    UnitState::Maybe => "waits for a unit that will run".into(),
                    UnitState::Blocked(why) => why.clone(),
                };
                output::result(output::unit_line(unit.state.code(), &unit.unit, &detail));
            }
        }
    }
    let blocked = units.iter().any(|unit| matches!(unit.state, UnitState::Blocked(_)));
    Ok(match (args.exit_code && pending, blocked) {
        (_, true) => Exit::Internal,
        (true, _) => Exit::Pending,
        _ => Exit::Done,
    })
}
