//! The wire protocol between relabel and the process of a plugin, version 1: headers as types.
//!
//! The host writes requests to the child's stdin, the child answers on its stdout; each message is
//! a complete Arrow IPC stream (schema, record batches, end-of-stream marker), and nothing stands
//! between them. The header is a JSON object under the key `relabel` of the schema's metadata. A
//! message without data has no columns and no batch; one with data may have several batches. There
//! is no compression and no dictionary. stderr is free text, whose end is shown when a call fails.
//!
//! The host sends one request at a time, with `request` counting from 1, and waits for its answer;
//! only after `release` may the next request come before the answer. Answers come in order. Before
//! an answer there may be progress messages, `{"request": N, "progress": 0.25}`. The host does not
//! ask a child to stop: it kills the whole process group. End of file on stdin means: exit.
//!
//! | operation | header beside `request`, `operation` | columns | answer |
//! | --- | --- | --- | --- |
//! | describe | `protocol`: the highest the host speaks | | header: `protocol`, `name`, `version`, `description`, `licence`, `capabilities`, `params_schema` |
//! | prepare | `corpus`, `params`, `threads` | `text`: large_utf8; further columns (see below) | |
//! | fit | `corpus`, `model`, `class_count`, `seed`, `threads` | `rows`, `labels`: uint32; `weights`: float32, optional | |
//! | predict | `corpus`, `model`, `threads` | `rows`: uint32 | `scores`: fixed_size_list of `class_count` float32, one a row |
//! | save | `model` | | `bytes`: large_binary or binary, one row |
//! | load | `model` | `bytes`: large_binary, one row | header: `class_count` |
//! | release | `corpus` or `model` | | |
//!
//! `corpus` and `model` are integers the host chooses, unique in the life of the process. No column
//! has nulls. Further columns of `prepare` are float64, with NaN where there is no value, or
//! large_utf8, empty where there is none; a plugin has the capability `columns` to be given any, and
//! ignores those it does not know. `describe` comes first in every process. Unknown keys of a header are ignored.
//!
//! The header of an answer has `status`, and `message` when that is not `ok`:
//!
//! | status | means |
//! | --- | --- |
//! | ok | done |
//! | failed | it cannot be done; the message is for the user, the process is used again |
//! | invalid-argument | the host broke the protocol, such as a model that is not there |
//! | panicked | the plugin may be damaged; the process is ended |
//! | broken | a host of libraries says that its library broke `plugin.h` |
//!
//! What `plugin.h` says of the operations holds here too: a model depends on its training rows
//! alone, same input and seed give the same bytes on any number of threads, rows of scores sum to
//! 1, and `load` takes nothing but what `save` gave.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The version this program speaks.
pub(crate) const PROTOCOL: u32 = 1;

/// Longer messages of a plugin are cut.
const LONGEST_MESSAGE: usize = 64 << 10;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Request {
    pub request: u64,
    #[serde(flatten)]
    pub operation: Operation,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "operation", rename_all = "lowercase")]
pub(crate) enum Operation {
    Describe {
        protocol: u32,
    },
    Prepare {
        corpus: u64,
        params: Value,
        threads: usize,
    },
    Fit {
        corpus: u64,
        model: u64,
        class_count: u32,
        seed: u64,
        threads: usize,
    },
    Predict {
        corpus: u64,
        model: u64,
        threads: usize,
    },
    Save {
        model: u64,
    },
    Load {
        model: u64,
    },
    Release {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        corpus: Option<u64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        model: Option<u64>,
    },
}

impl Operation {
    /// Returns the word in messages.
    pub fn word(&self) -> &'static str {
        match self {
            Operation::Describe { .. } => "describe",
            Operation::Prepare { .. } => "prepare",
            Operation::Fit { .. } => "fit",
            Operation::Predict { .. } => "predict",
            Operation::Save { .. } => "save",
            Operation::Load { .. } => "load",
            Operation::Release { .. } => "release",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Status {
    Ok,
    Failed,
    InvalidArgument,
    Panicked,
    Broken,
}

/// The header of an answer or of a progress message.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Answer {
    pub request: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<f32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class_count: Option<u32>,
}

impl Answer {
    pub fn read(header: &Value) -> Result<Answer, String> {
        let mut answer = Answer::deserialize(header)
            .map_err(|error| format!("the header of its answer is wrong: {error}"))?;
        if let Some(message) = &mut answer.message
            && message.len() > LONGEST_MESSAGE
        {
            message.truncate(message.floor_char_boundary(LONGEST_MESSAGE));
        }
        Ok(answer)
    }
}

/// The header of the answer to `describe`, beside what every answer has.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Described {
    pub protocol: u32,
    #[serde(flatten)]
    pub about: crate::description::About,
}
