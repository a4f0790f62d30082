//! What `system.xml` may give.

use super::fault::ReadFault;
use super::fields::{Field, Fields, REASON, Text, kind, number, text};
use super::{Reader, Value};
use crate::model::{Authority, CapKind, Dma, Holder, Perms, Static};
use toml::de::DeValue;

const COMPONENT: Field = ("component", "component = \"blk\"");
const GUEST: Field = ("guest", "guest = \"linux\"");
const DEVICE: Field = ("device", "device = \"nic\"");
const REGION: Field = ("region", "region = \"virtio_dma\"");
const PERMS: Field = ("perms", "perms = \"rw\"");
const IRQ: Field = ("irq", "irq = 79");
const IOPORT: Field = ("ioport", "ioport = 0x3f8");
const SIZE: Field = ("size", "size = 8");
const CHILD: Field = ("child", "child = \"worker\"");
const CHANNEL: Field = ("channel", "channel = \"peer\"");
const MODE: Field = ("mode", "mode = \"notify\"");
const CAP: Field = ("cap", "cap = \"tcb of worker\"");
const VM: Field = ("vm", "vm = \"guest\"");
const SMC: Field = ("smc", "smc = true");
const DMA: Field = ("dma", "dma = \"unbounded\"");
/// The fields of which a rule has exactly one.
const KINDS: [Field; 8] = [REGION, IRQ, IOPORT, CHILD, CHANNEL, CAP, VM, SMC];
const STATIC: &[Field] = &[
    COMPONENT, GUEST, DEVICE, REGION, PERMS, IRQ, IOPORT, SIZE, CHILD, CHANNEL, MODE, CAP, VM, SMC,
    DMA, REASON,
];
/// Highest I/O port of x86.
const LAST_PORT: u64 = 0xffff;
/// First and last port of PCI's configuration space: CONFIG_ADDRESS and CONFIG_DATA.
const PCI_PORTS: [u64; 2] = [0xcf8, 0xcff];

impl Reader {
    pub(super) fn statics(&mut self, value: Option<&Value<'_>>) {
        for rule in self.rules("static", value) {
            let rule = self.static_rule(rule);
            self.policy.statics.extend(rule);
        }
    }

    fn static_rule(&mut self, rule: &Value<'_>) -> Option<Static> {
        let fields = Fields::open(self, "a static rule", STATIC, rule)?;
        let holder = self.holder(&fields);
        let reason = fields.reason(self);
        let said: Vec<&'static str> = KINDS
            .iter()
            .map(|field| field.0)
            .filter(|name| fields.optional(name).is_some())
            .collect();
        if let ([], Some(value)) = (said.as_slice(), fields.optional(DMA.0)) {
            let place = self.place(value);
            self.report(&place, "of what device?", ReadFault::DmaAlone);
            return None;
        }
        let [said] = said.as_slice() else {
            let found = match said.as_slice() {
                [] => "none".to_owned(),
                several => format!("`{}`", several.join("` and `")),
            };
            let fault = ReadFault::StaticNotOne { found };
            self.report(&fields.place, "this rule", fault);
            return None;
        };
        self.misplaced(&fields, said);
        let value = fields.optional(said).expect("it was just found");
        if let Some(Holder::Guest(_) | Holder::Device(_)) = holder
            && *said != REGION.0
        {
            let place = self.place(value);
            let fault = ReadFault::Misplaced {
                field: KINDS.iter().find(|kind| kind.0 == *said)?.0,
                with: "`component`",
                help: "a guest or a device holds memory regions only: give it to a component",
            };
            self.report(&place, "not a guest's or a device's", fault);
            return None;
        }
        let authority = self.authority(&fields, said, value);
        Some(Static {
            holder: holder?,
            authority: authority?,
            reason,
            place: fields.place.clone(),
            object: self.place(value),
        })
    }

    fn holder(&mut self, fields: &Fields<'_, '_>) -> Option<Holder> {
        let said = [COMPONENT, GUEST, DEVICE].map(|field| (field, fields.optional(field.0)));
        let mut said = said.into_iter().filter(|(_, value)| value.is_some());
        let (field, value) = match (said.next(), said.next()) {
            (None, _) => {
                fields.required(self, COMPONENT);
                return None;
            }
            (Some((field, value)), None) => (field, value?),
            (Some((first, _)), Some((second, value))) => {
                let place = self.place(value?);
                let found = format!("`{}` and `{}`", first.0, second.0);
                self.report(&place, "a second holder", ReadFault::HolderNotOne { found });
                return None;
            }
        };
        let name = text(self, field, value)?;
        match field.0 {
            "guest" => self.guest(&name).map(Holder::Guest),
            "device" => self.device(&name).map(Holder::Device),
            _ => self.component(&name).map(Holder::Component),
        }
    }

    fn misplaced(&mut self, fields: &Fields<'_, '_>, said: &str) {
        for (field, with, name) in [
            (PERMS, "`region`", REGION.0),
            (SIZE, "`ioport`", IOPORT.0),
            (MODE, "`channel`", CHANNEL.0),
            (DMA, "`region` or `ioport`", "region ioport"),
        ] {
            if let Some(value) = fields.optional(field.0)
                && !name.split(' ').any(|name| name == said)
            {
                let place = self.place(value);
                let fault = ReadFault::Misplaced {
                    field: field.0,
                    with,
                    help: "remove it",
                };
                self.report(&place, "means nothing here", fault);
            }
        }
    }

    fn authority(
        &mut self,
        fields: &Fields<'_, '_>,
        said: &str,
        value: &Value<'_>,
    ) -> Option<Authority> {
        match said {
            "region" => {
                let region = text(self, REGION, value);
                if let Some(region) = &region {
                    self.check_reference("region", region.value, &region.place);
                }
                let perms = fields.text(self, PERMS).and_then(|word| self.perms(&word));
                let dma = self.dma(fields);
                Some(Authority::Region {
                    region: region?.value.to_owned(),
                    perms: perms?,
                    dma: dma?,
                })
            }
            "irq" => number(self, IRQ, value, 0, u32::MAX.into())
                .map(|number| Authority::Irq(number as u32)),
            "ioport" => {
                let base = number(self, IOPORT, value, 0, LAST_PORT);
                let size = fields.required(self, SIZE);
                let size = size.and_then(|size| number(self, SIZE, size, 1, LAST_PORT + 1));
                let dma = self.dma_of_ports(fields, base, size);
                Some(Authority::IoPorts {
                    base: base?,
                    size: size?,
                    dma: dma?,
                })
            }
            "child" => {
                let name = text(self, CHILD, value)?;
                self.component(&name).map(Authority::Child)
            }
            "channel" => self.channel(fields, value),
            "cap" => text(self, CAP, value).and_then(|cap| self.cap(&cap)),
            "vm" => {
                let name = text(self, VM, value)?;
                self.check_reference("guest", name.value, &name.place);
                Some(Authority::VirtualMachine(name.value.to_owned()))
            }
            _ => self.smc(value),
        }
    }

    fn channel(&mut self, fields: &Fields<'_, '_>, value: &Value<'_>) -> Option<Authority> {
        let peer = text(self, CHANNEL, value).and_then(|name| self.component(&name));
        let calls = match fields.optional_text(self, MODE).ok()? {
            None => true,
            Some(word) if word.value == "call" => true,
            Some(word) if word.value == "notify" => false,
            Some(word) => {
                self.unknown_word("mode of a channel", &word, &["call", "notify"]);
                return None;
            }
        };
        Some(Authority::Channel { peer: peer?, calls })
    }

    fn perms(&mut self, word: &Text<'_>) -> Option<Perms> {
        let perms = Perms::parse(word.value);
        if perms.is_none() {
            let words = ["r", "rw", "x", "rx", "rwx"];
            self.unknown_word("set of permissions", word, &words);
        }
        perms
    }

    fn cap(&mut self, cap: &Text<'_>) -> Option<Authority> {
        let kinds = [CapKind::Tcb, CapKind::SchedulingContext, CapKind::Vspace];
        let named = cap.value.split_once(" of ").and_then(|(kind, of)| {
            let kind = kinds.into_iter().find(|known| known.to_string() == kind)?;
            Some((kind, of))
        });
        let Some((kind, of)) = named else {
            let found = cap.value.to_owned();
            self.report(&cap.place, "not a capability", ReadFault::BadCap { found });
            return None;
        };
        let of = Text {
            value: of,
            place: cap.place.clone(),
        };
        self.component(&of).map(|of| Authority::Cap { kind, of })
    }

    /// The word of a line for a device's DMA, where it has one; `None`: it has no such word.
    fn dma(&mut self, fields: &Fields<'_, '_>) -> Option<Option<Dma>> {
        let Some(word) = fields.optional_text(self, DMA).ok()? else {
            return Some(None);
        };
        let dma = Dma::ALL.into_iter().find(|dma| dma.name() == word.value);
        if dma.is_none() {
            self.unknown_word("bound of DMA", &word, &Dma::ALL.map(Dma::name));
        }
        dma.map(Some)
    }

    /// The same, of I/O ports. Those of PCI's configuration space reach every device.
    fn dma_of_ports(
        &mut self,
        fields: &Fields<'_, '_>,
        base: Option<u64>,
        size: Option<u64>,
    ) -> Option<Option<Dma>> {
        let dma = self.dma(fields)?;
        let (base, size) = (base?, size?);
        let is_pci = base <= PCI_PORTS[1] && PCI_PORTS[0] < base + size;
        if is_pci && dma == Some(Dma::None) {
            let word = fields.optional_text(self, DMA).ok()??;
            let what = "bound of DMA of what PCI's configuration ports reach";
            self.unknown_word(what, &word, &[Dma::Unbounded.name()]);
            return None;
        }
        Some(dma)
    }

    fn smc(&mut self, value: &Value<'_>) -> Option<Authority> {
        match value.get_ref() {
            DeValue::Boolean(true) => Some(Authority::Smc),
            DeValue::Boolean(false) => {
                self.wrong_kind(SMC.0, "true, or not there", SMC.1, value, "false");
                None
            }
            other => {
                self.wrong_kind(SMC.0, "true", SMC.1, value, kind(other));
                None
            }
        }
    }
}
