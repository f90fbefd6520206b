//! Finds libdpdk, holds the committed bindings against its headers, compiles the
//! shim and links the few libraries we call. Drivers are not linked: EAL loads
//! them at start from the directory the distribution built in.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, exit};

/// The release line the bindings were generated from. DPDK keeps its ABI within
/// one LTS line (22.11 is ABI 23), and breaks it between lines.
const RELEASE: (&str, &str) = ("22.11", "23.0");

/// The libraries that hold the symbols of `src/bindings.rs`; the rest of DPDK's
/// fifty come in as their dependencies or as plugins.
const LIBRARIES: [&str; 5] = ["rte_eal", "rte_mempool", "rte_mbuf", "rte_ethdev", "rte_pdump"];

fn main() {
    if let Err(reason) = run() {
        eprintln!("\ndpdk-sys: {reason}\n");
        exit(1);
    }
}

fn run() -> Result<(), String> {
    for file in ["build.rs", "shim.c", "shim.h", "wrapper.h", "src/bindings.rs"] {
        println!("cargo:rerun-if-changed={file}");
    }
    let include_flags = find_dpdk()?;
    let out = PathBuf::from(env::var("OUT_DIR").map_err(|e| e.to_string())?);
    regenerate(&include_flags)?;
    write_layout_asserts(Path::new("src/bindings.rs"), &out.join("layout_asserts.h"))?;
    compile_shim(&include_flags, &out)?;
    for library in LIBRARIES {
        println!("cargo:rustc-link-lib=dylib={library}");
    }
    Ok(())
}

/// Probes pkg-config, emits the search path, and returns the compiler flags.
fn find_dpdk() -> Result<Vec<String>, String> {
    let library = pkg_config::Config::new()
        .range_version(RELEASE.0..RELEASE.1)
        .cargo_metadata(false)
        .probe("libdpdk")
        .map_err(|reason| {
            format!(
                "DPDK {} is needed and pkg-config did not find it.\n\
                 Install it: `apt install libdpdk-dev pkg-config gcc` on Debian 12 (or run scripts/setup),\n\
                 or point PKG_CONFIG_PATH at the directory of libdpdk.pc.\n\
                 pkg-config said: {reason}",
                RELEASE.0
            )
        })?;
    for path in &library.link_paths {
        println!("cargo:rustc-link-search=native={}", path.display());
    }
    let mut flags: Vec<String> =
        library.include_paths.iter().map(|path| format!("-I{}", path.display())).collect();
    // DPDK's headers use SSSE3 intrinsics on x86_64; libdpdk.pc says so in its Cflags.
    flags.extend(machine_flag());
    Ok(flags)
}

/// The `-march=` that libdpdk.pc asks for; the pkg-config crate does not carry it.
fn machine_flag() -> Option<String> {
    let output = Command::new("pkg-config").args(["--cflags", "libdpdk"]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.split_whitespace().find(|flag| flag.starts_with("-march=")).map(str::to_owned)
}

/// Turns bindgen's own layout asserts (sizes and offsets as the bindings believe
/// them) into C `_Static_assert`s, so that headers which disagree stop the build.
fn write_layout_asserts(bindings: &Path, header: &Path) -> Result<(), String> {
    let text = fs::read_to_string(bindings).map_err(|e| format!("{}: {e}", bindings.display()))?;
    let mut asserts = String::new();
    for line in text.lines() {
        asserts.extend(size_assert(line, &text).into_iter().chain(offset_assert(line, &text)));
    }
    let count = asserts.lines().count();
    if count < 50 {
        return Err(format!(
            "{}: only {count} layout asserts found, bindgen's format changed",
            bindings.display()
        ));
    }
    let mut file = String::from("#include <stddef.h>\n#include <rte_ethdev.h>\n#include <rte_mbuf.h>\n");
    file.push_str(&asserts);
    fs::write(header, file).map_err(|e| format!("{}: {e}", header.display()))
}

fn size_assert(line: &str, bindings: &str) -> Option<String> {
    let (name, rest) = line.trim().strip_prefix("[\"Size of ")?.split_once("\"]")?;
    let size = number_after_minus(rest)?;
    let tag = c_tag(name, bindings)?;
    Some(format!("_Static_assert(sizeof({tag} {name}) == {size}, \"size of {name}\");\n"))
}

fn offset_assert(line: &str, bindings: &str) -> Option<String> {
    let (path, rest) = line.trim().strip_prefix("[\"Offset of field: ")?.split_once("\"]")?;
    let (name, field) = path.split_once("::")?;
    let offset = number_after_minus(rest)?;
    let tag = c_tag(name, bindings)?;
    // Anonymous members exist only in bindgen's spelling; `type_` is its escape for `type`.
    let field = (!field.contains("bindgen")).then(|| field.trim_end_matches('_'))?;
    Some(format!(
        "_Static_assert(offsetof({tag} {name}, {field}) == {offset}, \"offset of {name}.{field}\");\n"
    ))
}

/// `struct` or `union`; nothing for names that only bindgen knows.
fn c_tag(name: &str, bindings: &str) -> Option<&'static str> {
    let is_union = bindings.contains(&format!("pub union {name} {{"));
    (!name.contains("bindgen")).then_some(if is_union { "union" } else { "struct" })
}

fn number_after_minus(text: &str) -> Option<usize> {
    text.rsplit_once("- ")?
        .1
        .trim_end_matches(|c: char| !c.is_ascii_digit())
        .trim_end_matches("usize")
        .parse()
        .ok()
}

fn compile_shim(flags: &[String], out: &Path) -> Result<(), String> {
    let mut build = cc::Build::new();
    build.file("shim.c").include(out).opt_level(3).warnings(true).flag("-Wno-deprecated-declarations");
    for flag in flags {
        build.flag(flag);
    }
    build.try_compile("dpdk_sys_shim").map_err(|reason| {
        format!(
            "the shim did not compile. A failed assertion names a structure whose layout differs from the\n\
                 committed bindings: install DPDK {}, or regenerate with `--features regenerate`.\n{reason}",
            RELEASE.0
        )
    })
}

#[cfg(not(feature = "regenerate"))]
fn regenerate(_flags: &[String]) -> Result<(), String> {
    Ok(())
}

#[cfg(feature = "regenerate")]
fn regenerate(flags: &[String]) -> Result<(), String> {
    const FUNCTIONS: &str = "shim_.*|rte_version|rte_eal_(init|remote_launch|wait_lcore|hotplug_add|hotplug_remove)\
        |rte_pdump_init|rte_eth_find_next\
        |rte_eth_dev_(get_port_by_name|get_name_by_port|info_get|configure|start|stop|close|get_mtu|socket_id)\
        |rte_eth_dev_default_mac_addr_set|rte_eth_dev_rss_reta_(update|query)|rte_eth_(rx|tx)_queue_setup|rte_eth_promiscuous_(enable|disable)\
        |rte_eth_allmulticast_enable|rte_eth_macaddr_get|rte_eth_link_get_nowait|rte_eth_stats_get\
        |rte_eth_xstats_get(_names)?|rte_pktmbuf_(pool_create_by_ops|free_bulk)|rte_mempool_(avail_count|obj_iter)";
    const CONSTANTS: &str = "RTE_MAX_(LCORE|ETHPORTS)|RTE_PKTMBUF_HEADROOM|RTE_ETH_NAME_MAX_LEN|RTE_ETH_RETA_GROUP_SIZE\
        |RTE_ETH_LINK_(UP|FULL_DUPLEX)|RTE_ETHER_(HDR_LEN|CRC_LEN|MTU)|SOCKET_ID_ANY|LCORE_ID_ANY|DPDK_.*";
    const OPAQUE: &str = "rte_mempool|rte_device|rte_mbuf_ext_shared_info|rte_mbuf__bindgen_ty_.*|rte_eth_conf__bindgen_ty_2\
        |rte_eth_vmdq_.*|rte_eth_dcb_.*|rte_eth_rxseg.*|rte_eth_switch_info|rte_eth_intr_conf";
    bindgen::Builder::default()
        .header("wrapper.h")
        .clang_args(flags)
        .allowlist_function(FUNCTIONS)
        .allowlist_var(CONSTANTS)
        .allowlist_type("rte_mbuf|rte_eth_conf|rte_eth_dev_info|rte_eth_stats|rte_eth_link|rte_eth_xstat|rte_eth_xstat_name|rte_eth_rx_mq_mode|rte_eth_tx_mq_mode")
        .opaque_type(OPAQUE)
        .default_enum_style(bindgen::EnumVariation::ModuleConsts)
        .derive_default(true)
        .derive_debug(false)
        .generate_comments(false)
        .layout_tests(true)
        .use_core()
        .generate()
        .map_err(|e| e.to_string())?
        .write_to_file("src/bindings.rs")
        .map_err(|e| e.to_string())
}
