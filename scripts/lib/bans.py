#!/usr/bin/env python3
"""The ban list: crates with open holes or second implementations, `unsafe` outside its
rooms, clocks and sockets in pure crates, unfinished code, tests that nothing runs, and files that outgrew a room."""
import pathlib, re, subprocess, sys

# rsa: RUSTSEC-2023-0071 has no fix. openssl, native-tls: a second TLS and crypto stack.
CRATES = {"rsa", "openssl", "openssl-sys", "native-tls"}
UNSAFE_ROOMS = ("ffi/", "dataplane/cbc/", "dataplane/gcm/", "dataplane/mem/")
PURE_ROOMS = ("control/ike/src/", "pki/src/",
              *(f"pki/fetch/src/{room}.rs" for room in ("url", "policy", "backoff", "desk", "cache", "request", "answer/ldap", "answer/tftp", "answer/mod")))
IMPURE = re.compile(r"\b(std::(net::(Tcp|Udp)|thread|fs|process)|SystemTime::now|Instant::now|SystemRandom)\b")
UNFINISHED = re.compile(r"\b(todo!|unimplemented!|FIXME|XXX|dbg!)")
LONGEST = 700


def code_of(text):
    """Without the tests at the foot and without comments."""
    text = re.split(r"#\[cfg\(test\)\]\s*mod ", text)[0]
    return re.sub(r"//.*", "", text)


def sources():
    names = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.rs"],
                           check=True, capture_output=True, text=True).stdout.split()
    return [(name, pathlib.Path(name).read_text()) for name in names if pathlib.Path(name).exists()]


def is_program(path):
    """Whether cargo would take it for a program of tests."""
    return path.parent.name == "tests" and (path.parent.parent / "Cargo.toml").exists()


def is_run(test):
    """Whether a file of tests is a program, or a part of the one that holds its crate's tests together."""
    tests, crate = test.parent, test.parent.parent
    manifest = (crate / "Cargo.toml").read_text()
    together = tests / "all.rs"
    return ("autotests = false" not in manifest or f'path = "tests/{test.name}"' in manifest or f'name = "{test.stem}"' in manifest
            or together.exists() and re.search(rf"^mod {test.stem};", together.read_text(), re.M))


def main():
    wrong = [f"Cargo.lock holds the banned crate {name}"
             for name in re.findall(r'^name = "(.*)"', pathlib.Path("Cargo.lock").read_text(), re.M)
             if name in CRATES]
    for name, text in sources():
        code = code_of(text)
        test = "/tests" in name or name.endswith("tests.rs")
        if re.search(r"\bunsafe\b\s*(\{|fn|impl|extern)", code) and not name.startswith(UNSAFE_ROOMS):
            wrong.append(f"{name}: unsafe outside its rooms")
        if name.startswith(PURE_ROOMS) and not test and (found := IMPURE.search(code)):
            wrong.append(f"{name}: {found.group(0)} in a pure crate")
        if is_program(pathlib.Path(name)) and not is_run(pathlib.Path(name)):
            wrong.append(f"{name}: nothing runs it: name it in tests/all.rs")
        if found := UNFINISHED.search(code):
            wrong.append(f"{name}: unfinished: {found.group(0)}")
        if text.count("\n") > LONGEST and not name.endswith("bindings.rs"):
            wrong.append(f"{name}: {text.count(chr(10))} lines, more than {LONGEST}: split the room")
    print("\n".join(wrong), file=sys.stderr, end="\n" if wrong else "")
    return bool(wrong)


sys.exit(main())
