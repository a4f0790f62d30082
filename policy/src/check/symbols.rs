//! Symbols that a system description must not set.
//!
//! The Microkit tool writes the `microkit_` symbols of every program, and after them what the description
//! sets: a `setvar` that names one of them overwrites it. The tool looks a name up among all symbols of a
//! program, its code included.

use std::collections::BTreeSet;

use portcullis_sdf::{PdId, Spanned, System};

use super::custody::{self, CustodyFault};
use crate::model::MANAGER;

/// How the names begin that Microkit's and seL4's runtimes have for themselves, whatever the case of the
/// letters. C leaves names that begin with an underscore to compilers and runtimes, and Rust's own begin
/// with one.
const PREFIXES: [&str; 3] = ["_", "microkit_", "sel4_"];
/// The functions by which Microkit's runtime calls a program (`libmicrokit/src/main.c`).
const ENTRIES: [&str; 5] = ["main", "init", "notified", "protected", "fault"];

/// Every symbol of a protection domain that the description sets and must not: in the manager all but those
/// by which it finds its memory, in any other those of the runtime.
pub(crate) fn refused(system: &System, id: PdId) -> Vec<(&Spanned<String>, CustodyFault)> {
    let pd = system.pd(id);
    let (name, is_manager) = (&pd.name.value, pd.name.value == MANAGER);
    let needed = pd.maps.iter().flat_map(custody::needed_symbols);
    let needed: BTreeSet<usize> = needed.map(|symbol| symbol.span.start).collect();
    let symbols = system.symbols(id).map(|(symbol, _)| symbol);
    let refused = symbols.filter(|symbol| match is_manager {
        true => !needed.contains(&symbol.span.start),
        false => is_runtimes(&symbol.value),
    });
    let fault = |symbol: String| match is_manager {
        true => CustodyFault::ManagerSymbol { symbol },
        false => CustodyFault::RuntimeSymbol {
            pd: name.clone(),
            symbol,
        },
    };
    refused
        .map(|symbol| (symbol, fault(symbol.value.clone())))
        .collect()
}

/// Whether a symbol is one of Microkit's or seL4's runtime, or what it calls a program by.
fn is_runtimes(symbol: &str) -> bool {
    let symbol = symbol.to_ascii_lowercase();
    PREFIXES.iter().any(|prefix| symbol.starts_with(prefix)) || ENTRIES.contains(&symbol.as_str())
}

#[cfg(test)]
mod tests {
    use portcullis_sdf::Target;

    use super::*;

    /// A system in which every form of `setvar` that there is sets a symbol of `name`.
    fn system(name: &str) -> System {
        let text = format!(
            r#"<system>
            <memory_region name="r" size="0x1000" prefill_path="r.bin" phys_addr="0x5000_0000" />
            <protection_domain name="{name}" priority="9">
                <program_image path="p.elf" />
                <map mr="r" vaddr="0x10000000" setvar_vaddr="_vaddr" setvar_size="_size"
                     setvar_prefill_size="_prefill" />
                <irq id="1" pin="4" vector="7" setvar_id="_pin" />
                <irq id="2" pcidev="00:1f.2" handle="5" vector="50" setvar_id="_msi" />
                <ioport id="1" addr="0x3f8" size="8" setvar_id="_port" setvar_addr="_port_addr" />
                <setvar symbol="_paddr" region_paddr="r" />
                <virtual_machine name="vm"><vcpu id="3" setvar_id="_vcpu" /></virtual_machine>
                <protection_domain name="child" id="4" priority="1" setvar_id="_child">
                    <program_image path="c.elf" />
                </protection_domain>
            </protection_domain>
            <protection_domain name="peer" priority="1"><program_image path="c.elf" />
                <irq irq="9" id="2" setvar_id="_irq" />
            </protection_domain>
            <channel>
                <end pd="{name}" id="5" setvar_id="_end" />
                <end pd="peer" id="5" setvar_id="_peers_end" />
            </channel></system>"#
        );
        portcullis_sdf::parse(&text, &Target::ANY).unwrap()
    }

    fn set(system: &System, name: &str) -> Vec<String> {
        let id = system.pd_named(name).unwrap();
        let mut all: Vec<String> = refused(system, id)
            .iter()
            .map(|(symbol, _)| symbol.value.clone())
            .collect();
        all.sort();
        all
    }

    #[test]
    fn every_form_of_setvar_is_seen() {
        for name in [MANAGER, "a"] {
            let system = system(name);
            let all = [
                "_child",
                "_end",
                "_msi",
                "_paddr",
                "_pin",
                "_port",
                "_port_addr",
                "_prefill",
                "_size",
                "_vaddr",
                "_vcpu",
            ];
            assert_eq!(set(&system, name), all);
            assert_eq!(set(&system, "peer"), ["_irq", "_peers_end"]);
        }
    }

    /// A symbol of the manager's memory is its address or its size, by the mapping that is that memory.
    #[test]
    fn the_managers_symbols_are_set_by_mappings() {
        let text = r#"<system><memory_region name="r" size="0x1000" prefill_path="r.bin" />
            <protection_domain name="manager"><program_image path="p.elf" />
                <map mr="r" vaddr="0x10000000" setvar_vaddr="policy" setvar_size="policy_size"
                     setvar_prefill_size="grant_log_size" />
                <map mr="r" vaddr="0x10010000" setvar_vaddr="policy_keys_size" setvar_size="grant_log" />
            </protection_domain></system>"#;
        let system = portcullis_sdf::parse(text, &Target::ANY).unwrap();
        let expected = ["grant_log", "grant_log_size", "policy_keys_size"];
        assert_eq!(set(&system, MANAGER), expected);
    }

    /// The symbols that libmicrokit 2.3.0 and rust-sel4 5.0.0 have in every program.
    #[test]
    fn the_runtimes_symbols_are_known() {
        for symbol in [
            "microkit_name",
            "microkit_passive",
            "microkit_irqs",
            "microkit_notifications",
            "microkit_pps",
            "microkit_ioports",
            "microkit_have_signal",
            "microkit_signal_cap",
            "microkit_signal_msg",
            "__sel4_ipc_buffer",
            "__sel4_ipc_buffer_obj",
            "__sel4_microkit__main",
            "__init_array_start",
            "_start",
            "_ZN4sel45state3TLS17h0123456789abcdefE",
            "seL4_DebugPutChar",
            "main",
            "protected",
        ] {
            assert!(is_runtimes(symbol), "{symbol}");
        }
        for symbol in [
            "policy",
            "grant_log_size",
            "uart",
            "initial",
            "faults",
            "my_sel4",
        ] {
            assert!(!is_runtimes(symbol), "{symbol}");
        }
    }
}
