//! What is asked of whoever sits at the terminal: passwords without showing them, and whether it is meant.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Error, Result, Write};

use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

/// Longest line taken.
const MAX_LINE: usize = 1024;

/// Asks for a password; what is typed is not shown.
pub fn password(prompt: &str) -> Result<Zeroizing<String>> {
    let (terminal, mut reader) = ask(prompt)?;
    let _silence = Silence::begin(&terminal)?;
    let line = line(&mut reader)?;
    writeln!(&terminal)?;
    Ok(line)
}

/// Asks whether something is meant; only `y` and `yes` are a yes.
pub fn yes(prompt: &str) -> Result<bool> {
    let (_, mut reader) = ask(prompt)?;
    Ok(["y", "yes"].contains(&line(&mut reader)?.to_ascii_lowercase().as_str()))
}

/// The terminal itself: standard input may be the file.
fn ask(prompt: &str) -> Result<(File, BufReader<File>)> {
    let open = OpenOptions::new().read(true).write(true).open("/dev/tty");
    let mut terminal = open.map_err(|error| {
        Error::new(
            error.kind(),
            format!("no terminal to ask at ({error}): say --password-file FILE, or --yes"),
        )
    })?;
    write!(terminal, "{prompt}")?;
    terminal.flush()?;
    let reader = BufReader::new(terminal.try_clone()?);
    Ok((terminal, reader))
}

fn line(reader: &mut impl BufRead) -> Result<Zeroizing<String>> {
    let mut line = Zeroizing::new(String::with_capacity(MAX_LINE));
    std::io::Read::take(reader, MAX_LINE as u64).read_line(&mut line)?;
    Ok(Zeroizing::new(line.trim_end_matches(['\r', '\n']).to_owned()))
}

/// Echo is off while it lives.
struct Silence<'t> {
    terminal: &'t File,
    before: Termios,
}

impl<'t> Silence<'t> {
    fn begin(terminal: &'t File) -> Result<Self> {
        let before = tcgetattr(terminal)?;
        let mut silent = before.clone();
        silent.local_flags.remove(LocalFlags::ECHO);
        tcsetattr(terminal, SetArg::TCSAFLUSH, &silent)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Silence<'_> {
    fn drop(&mut self) {
        // A terminal that has gone needs no echo.
        let _ = tcsetattr(self.terminal, SetArg::TCSAFLUSH, &self.before);
    }
}
