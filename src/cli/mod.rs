//! Commands, their flags and exit codes. Each command is one file; all work is done by the library.

mod answer;
mod bench;
mod cache;
mod chat;
mod debug;
mod devices;
mod flags;
mod infer;
mod inspect;
mod interrupt;
mod ocr;
mod output;
mod profile;
mod run;
mod saliency;
mod score;
mod shaders;
mod start;
mod tune;
mod vad;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use wavelane::Error;

const AFTER_HELP: &str = "Exit codes: 0 done, 2 wrong usage or an impossible request, 3 no such device, 4 an unreadable or \
unsupported file, 5 a check found a difference, 130 interrupted, 1 anything else.\n\
Set WAVELANE_LOG=info for a log on standard error.";

/// Runs trained neural networks on any GPU, proven against a CPU reference.
#[derive(Parser)]
#[command(version, after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Continue a prompt, or answer it through the model's chat template.
    Run(run::Run),
    /// Hold a conversation in the terminal.
    Chat(chat::Chat),
    /// Measure how likely a model finds a text.
    Score(score::Score),
    /// Run an ONNX model on arrays, pictures or sound.
    Infer(infer::Infer),
    /// Read the text in a picture.
    Ocr(ocr::Ocr),
    /// Show what draws the eye in a picture.
    Saliency(saliency::Saliency),
    /// Tell when somebody speaks in a sound.
    Vad(vad::Vad),
    /// Compare every kernel with the reference on this device, and strike those that are wrong.
    Verify(verify::Verify),
    /// Find the fastest kernels for a language model on this device.
    Tune(tune::Tune),
    /// List the devices.
    Devices(devices::Devices),
    /// Show what a model file holds and what it needs.
    Inspect(inspect::Inspect),
    /// Measure a device, kernels and models.
    Bench(bench::Bench),
    /// Show where the time of a model goes on a device.
    Profile(profile::Profile),
    /// Show kernels, what they cost and whether they keep to the limits of devices.
    Shaders(shaders::Shaders),
}

/// How a command ended.
pub enum End {
    Done,
    Interrupted,
    /// It did what it could, and said what it could not.
    Failed,
}

/// Runs the command line.
pub fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::new().filter_or("WAVELANE_LOG", "warn,wgpu_hal=off,wgpu_core=off,naga=off"))
        .init();
    let result = match Cli::parse().command {
        Command::Run(command) => command.execute(),
        Command::Chat(command) => command.execute(),
        Command::Score(command) => command.execute(),
        Command::Infer(command) => command.execute(),
        Command::Ocr(command) => command.execute(),
        Command::Saliency(command) => command.execute(),
        Command::Vad(command) => command.execute(),
        Command::Verify(command) => command.execute(),
        Command::Tune(command) => command.execute(),
        Command::Devices(command) => command.execute(),
        Command::Inspect(command) => command.execute(),
        Command::Bench(command) => command.execute(),
        Command::Profile(command) => command.execute(),
        Command::Shaders(command) => command.execute(),
    };
    match result {
        Ok(End::Done) => ExitCode::SUCCESS,
        Ok(End::Interrupted) => ExitCode::from(interrupt::INTERRUPTED),
        Ok(End::Failed) => ExitCode::FAILURE,
        Err(e) if output::is_broken_pipe(&e) => ExitCode::SUCCESS,
        Err(e) => {
            output::say(format_args!("error: {e}"));
            ExitCode::from(code(&e))
        }
    }
}

fn code(error: &Error) -> u8 {
    match error {
        e if output::is_about_stdout(e) => 1,
        Error::Request(_) => 2,
        Error::NoDevice(_) => 3,
        Error::Io { .. } | Error::Format { .. } | Error::Unsupported(_) | Error::Shape { .. } => 4,
        Error::Check(_) => 5,
        _ => 1,
    }
}
