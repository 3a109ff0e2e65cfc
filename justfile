# The commands of this project; `just` lists them.

default:
    @just --list

# Build the program and its plugins.
build:
    cargo build --release

# All tests.
test:
    cargo test --release --workspace

# Everything that has to hold before a change lands.
ci:
    .ci/run

# Format, then lint.
lint:
    cargo fmt --all
    cargo clippy --workspace --all-targets -- -D warnings

# The whole story on made-up records.
demo: build
    ./target/release/relabel demo
