//! A case as text: `system.xml` and `policy.toml`, which is all that the checker sees of it.

use std::fmt::Write;

use crate::case::{Case, Device, Map, Pd, Policy, Static, System, What, Who};

impl Case {
    /// Both texts, one after the other, to be read by people.
    pub fn both(&self) -> String {
        format!(
            "{}\n# policy.toml\n{}",
            self.system.xml(),
            self.policy.toml()
        )
    }
}

/// Writes into a `String`, which cannot fail.
macro_rules! put {
    ($out:expr, $($arguments:tt)*) => {
        let _ = write!($out, $($arguments)*);
    };
}

impl System {
    /// The system description.
    pub fn xml(&self) -> String {
        let mut out = String::from("<system>\n");
        for region in &self.regions {
            put!(out, "  <memory_region name=\"{}\"", region.name);
            if let Some(size) = region.size {
                put!(out, " size=\"{size:#x}\"");
            }
            if let Some(address) = region.phys_addr {
                put!(out, " phys_addr=\"{address:#x}\"");
            }
            if let Some(file) = &region.prefill {
                put!(out, " prefill_path=\"{file}\"");
            }
            out.push_str(" />\n");
        }
        if !self.schedule.is_empty() {
            out.push_str("  <domains>\n");
            for name in &self.schedule {
                put!(out, "    <domain name=\"{name}\" />\n");
            }
            out.push_str("    <domain_schedule>\n");
            for name in &self.schedule {
                put!(
                    out,
                    "      <schedule_entry domain=\"{name}\" duration=\"1000 us\" />\n"
                );
            }
            out.push_str("    </domain_schedule>\n  </domains>\n");
        }
        for device in &self.devices {
            self.device(device, &mut out);
        }
        for pd in self.pds.iter().filter(|pd| pd.parent.is_none()) {
            self.pd_xml(pd, None, &mut out);
        }
        for ends in &self.channels {
            out.push_str("  <channel>");
            for end in ends {
                put!(out, "<end pd=\"{}\" id=\"{}\"", end.pd, end.id);
                if end.pp {
                    out.push_str(" pp=\"true\"");
                }
                if !end.notify {
                    out.push_str(" notify=\"false\"");
                }
                attribute("setvar_id", &end.symbol, &mut out);
                out.push_str(" />");
            }
            out.push_str("</channel>\n");
        }
        out.push_str("</system>\n");
        out
    }

    fn device(&self, device: &Device, out: &mut String) {
        let number = self
            .devices
            .iter()
            .position(|it| it.name == device.name)
            .unwrap_or(0);
        let name = &device.name;
        put!(
            out,
            "  <io_address_space name=\"{name}\" peripheral_id=\"0:{number}.0\" domain_id=\"{}\">\n",
            number + 1
        );
        for (place, map) in device.maps.iter().enumerate() {
            let address = 0x10_0000 * (place + 1);
            put!(
                out,
                "    <iomap mr=\"{}\" iovaddr=\"{address:#x}\" perms=\"{}\" />\n",
                map.region,
                map.perms
            );
        }
        out.push_str("  </io_address_space>\n");
    }

    fn pd_xml(&self, pd: &Pd, id: Option<usize>, out: &mut String) {
        put!(
            out,
            "  <protection_domain name=\"{}\" priority=\"{}\"",
            pd.name,
            pd.priority
        );
        if let Some(id) = id {
            put!(out, " id=\"{id}\"");
            attribute("setvar_id", &pd.id_symbol, out);
        }
        if pd.passive {
            out.push_str(" passive=\"true\"");
        }
        if pd.throttled {
            out.push_str(" budget=\"100\" period=\"500\"");
        }
        if pd.cpu != 0 {
            put!(out, " cpu=\"{}\"", pd.cpu);
        }
        if pd.smc {
            out.push_str(" smc=\"true\"");
        }
        // Where there is a schedule, everybody is in some domain of it.
        let first = self.schedule.first();
        if let Some(domain) = first.map(|first| pd.domain.as_ref().unwrap_or(first)) {
            put!(out, " domain=\"{domain}\"");
        }
        put!(out, ">\n    <program_image path=\"{}.elf\"", pd.name);
        if let Some(file) = &pd.symbols {
            put!(out, " path_for_symbols=\"{file}\"");
        }
        out.push_str(" />\n");
        maps(&pd.maps, out);
        for irq in &pd.irqs {
            let (number, id) = (irq.number, irq.id);
            let device = self
                .devices
                .iter()
                .position(|it| Some(&it.name) == irq.device.as_ref());
            match device {
                Some(device) => {
                    put!(
                        out,
                        "    <irq pcidev=\"0:{device}.0\" handle=\"0\" vector=\"{number}\" id=\"{id}\""
                    );
                }
                None => {
                    put!(out, "    <irq irq=\"{number}\" id=\"{id}\"");
                }
            }
            attribute("setvar_id", &irq.symbol, out);
            out.push_str(" />\n");
        }
        for (place, ports) in pd.ports.iter().enumerate() {
            let (base, size) = (ports.base, ports.size);
            put!(
                out,
                "    <ioport id=\"{place}\" addr=\"{base:#x}\" size=\"{size}\""
            );
            attribute("setvar_id", &ports.symbol, out);
            attribute("setvar_addr", &ports.addr_symbol, out);
            out.push_str(" />\n");
        }
        for (symbol, region) in &pd.paddrs {
            put!(
                out,
                "    <setvar symbol=\"{symbol}\" region_paddr=\"{region}\" />\n"
            );
        }
        if !pd.caps.is_empty() {
            out.push_str("    <cspace>");
            for cap in &pd.caps {
                put!(
                    out,
                    "<cap_{} slot=\"{}\" pd=\"{}\" />",
                    cap.kind,
                    cap.slot,
                    cap.of
                );
            }
            out.push_str("</cspace>\n");
        }
        if let Some(guest) = &pd.guest {
            put!(
                out,
                "    <virtual_machine name=\"{}\">\n    <vcpu id=\"60\"",
                guest.name
            );
            attribute("setvar_id", &guest.symbol, out);
            out.push_str(" />\n");
            maps(&guest.maps, out);
            out.push_str("    </virtual_machine>\n");
        }
        let children = self
            .pds
            .iter()
            .filter(|it| it.parent.as_ref() == Some(&pd.name));
        for (id, child) in children.enumerate() {
            self.pd_xml(child, Some(id), out);
        }
        out.push_str("  </protection_domain>\n");
    }
}

/// An attribute that sets a symbol, where one is set.
fn attribute(name: &str, symbol: &Option<String>, out: &mut String) {
    if let Some(symbol) = symbol {
        put!(out, " {name}=\"{symbol}\"");
    }
}

/// Mappings one after the other, 1 GiB apart.
fn maps(maps: &[Map], out: &mut String) {
    for (place, map) in maps.iter().enumerate() {
        let address = 0x4000_0000_usize * (place + 1);
        put!(
            out,
            "    <map mr=\"{}\" vaddr=\"{address:#x}\" perms=\"{}\"",
            map.region,
            map.perms
        );
        attribute("setvar_vaddr", &map.symbol, out);
        attribute("setvar_size", &map.size, out);
        attribute("setvar_prefill_size", &map.prefill_size, out);
        if map.uncached {
            out.push_str(" cached=\"false\"");
        }
        out.push_str(" />\n");
    }
}

impl Policy {
    /// The policy.
    pub fn toml(&self) -> String {
        let mut out = String::from("name = \"random\"\nversion = 1\n");
        if self.inline {
            let lines = self.statics.iter().map(|line| fields(line).join(", "));
            let lines: Vec<String> = lines.map(|fields| format!("{{ {fields} }}")).collect();
            put!(out, "static = [{}]\n", lines.join(", "));
        }
        out.push_str("\n[domains]\n");
        for domain in &self.domains {
            put!(out, "{domain} = {{}}\n");
        }
        for (interface, methods) in &self.interfaces {
            put!(out, "\n[interfaces.{interface}]\n");
            for (method, number) in methods {
                put!(out, "{method} = {number}\n");
            }
        }
        for component in &self.components {
            put!(
                out,
                "\n[components.{}]\ndomain = \"{}\"\n",
                component.name,
                component.domain
            );
            if !component.offers.is_empty() {
                put!(out, "offers = {:?}\n", component.offers);
            }
        }
        for (who, domain) in &self.subjects {
            put!(
                out,
                "\n[{}s.{}]\ndomain = \"{domain}\"\n",
                kind(who),
                who.name()
            );
            if let Who::Device(name) = who {
                let own = self.registers.iter().filter(|(device, _)| device == name);
                let own: Vec<&String> = own.map(|(_, region)| region).collect();
                put!(out, "registers = {own:?}\n");
            }
        }
        for flow in &self.flows {
            let modes: Vec<String> = flow.modes.iter().map(ToString::to_string).collect();
            put!(
                out,
                "\n[[flows]]\nfrom = \"{}\"\nto = \"{}\"\nmodes = {modes:?}\n",
                flow.from,
                flow.to
            );
        }
        self.grants(&mut out);
        for line in self.statics.iter().filter(|_| !self.inline) {
            put!(out, "\n[[static]]\n{}\n", fields(line).join("\n"));
        }
        for (from, to) in &self.nevers {
            put!(out, "\n[[never]]\nfrom = \"{from}\"\nto = \"{to}\"\n");
        }
        out.push_str(&self.raw);
        out
    }

    fn grants(&self, out: &mut String) {
        for grant in &self.grants {
            put!(
                out,
                "\n[[grants]]\nsubject = \"{}\"\nobject = \"{}\"\n",
                grant.subject,
                grant.object
            );
            put!(
                out,
                "interface = \"{}\"\nmethods = {:?}\n",
                grant.interface,
                grant.methods
            );
            let when = if grant.on_request { "request" } else { "boot" };
            put!(out, "mode = \"{}\"\nwhen = \"{when}\"\n", grant.mode);
            if let Some(region) = &grant.region {
                put!(out, "region = \"{region}\"\n");
            }
            if self.is_opaque && self.log().is_some_and(|log| std::ptr::eq(log, grant)) {
                out.push_str("records = \"opaque\"\n");
            }
            if grant.lease {
                out.push_str("lease = \"10m\"\n");
            }
            if !grant.delegate.is_empty() {
                put!(out, "delegate = {:?}\n", grant.delegate);
            }
        }
    }
}

const fn kind(who: &Who) -> &'static str {
    match who {
        Who::Pd(_) => "component",
        Who::Guest(_) => "guest",
        Who::Device(_) => "device",
    }
}

/// The fields of a line.
fn fields(line: &Static) -> Vec<String> {
    let mut fields = vec![format!("{} = \"{}\"", kind(&line.who), line.who.name())];
    fields.extend(match &line.what {
        What::Region(region, perms) => vec![
            format!("region = \"{region}\""),
            format!("perms = \"{perms}\""),
        ],
        What::Irq(number) => vec![format!("irq = {number}")],
        What::Ports(base, size) => vec![format!("ioport = {base:#x}"), format!("size = {size}")],
        What::Child(name) => vec![format!("child = \"{name}\"")],
        What::Channel(peer, true) => vec![format!("channel = \"{peer}\"")],
        What::Channel(peer, false) => vec![
            format!("channel = \"{peer}\""),
            "mode = \"notify\"".to_owned(),
        ],
        What::Cap(kind, of) => vec![format!("cap = \"{kind} of {of}\"")],
        What::Vm(name) => vec![format!("vm = \"{name}\"")],
        What::Smc => vec!["smc = true".to_owned()],
    });
    fields.extend(line.dma.map(|dma| format!("dma = \"{dma}\"")));
    fields.push("reason = \"random\"".to_owned());
    fields
}
