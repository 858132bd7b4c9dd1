//! UEFI firmware for guests.

use std::path::{Path, PathBuf};

use super::{Architecture, QemuError};

/// Firmware files.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Firmware {
    /// Code and variables in one file, which is not written: variables are forgotten.
    Combined(PathBuf),
    /// Code, and a template of the variables that each guest gets a copy of.
    Split {
        /// Code, used read-only.
        code: PathBuf,
        /// Variables, copied.
        variables: PathBuf,
    },
}

/// Where distributions put it: Debian and Ubuntu, Fedora, Arch. Code, and variables where they are a file of their own.
const X86_64: &[(&str, Option<&str>)] = &[
    ("/usr/share/OVMF/OVMF_CODE_4M.fd", Some("/usr/share/OVMF/OVMF_VARS_4M.fd")),
    ("/usr/share/OVMF/OVMF_CODE.fd", Some("/usr/share/OVMF/OVMF_VARS.fd")),
    ("/usr/share/ovmf/OVMF.fd", None),
    ("/usr/share/edk2/ovmf/OVMF_CODE.fd", Some("/usr/share/edk2/ovmf/OVMF_VARS.fd")),
    ("/usr/share/edk2/x64/OVMF_CODE.4m.fd", Some("/usr/share/edk2/x64/OVMF_VARS.4m.fd")),
];
const AARCH64: &[(&str, Option<&str>)] = &[
    ("/usr/share/AAVMF/AAVMF_CODE.fd", Some("/usr/share/AAVMF/AAVMF_VARS.fd")),
    ("/usr/share/edk2/aarch64/QEMU_EFI-pflash.raw", Some("/usr/share/edk2/aarch64/vars-template-pflash.raw")),
];

impl Firmware {
    /// Firmware without Secure Boot where the distributions install it.
    ///
    /// # Errors
    /// [`QemuError::FirmwareMissing`] with the places and the Debian package.
    pub fn find(architecture: Architecture) -> Result<Self, QemuError> {
        let (places, package) = match architecture {
            Architecture::Aarch64 => (AARCH64, "qemu-efi-aarch64"),
            Architecture::X86_64 => (X86_64, "ovmf"),
        };
        Self::find_in(places, |path| path.is_file()).ok_or_else(|| QemuError::FirmwareMissing {
            architecture: architecture.name(),
            package,
            looked: places.iter().map(|(code, _)| PathBuf::from(code)).collect(),
        })
    }

    fn find_in(places: &[(&str, Option<&str>)], exists: impl Fn(&Path) -> bool) -> Option<Self> {
        places.iter().find_map(|&(code, variables)| {
            let code = PathBuf::from(code);
            if !exists(&code) {
                return None;
            }
            let Some(variables) = variables.map(PathBuf::from) else { return Some(Self::Combined(code)) };
            exists(&variables).then_some(Self::Split { code, variables })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_without_its_variables_is_passed_over() {
        let only = |paths: &'static [&'static str]| {
            move |path: &Path| paths.iter().any(|accepted| Path::new(accepted) == path)
        };
        let both = only(&["/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"]);
        let code = "/usr/share/OVMF/OVMF_CODE_4M.fd".into();
        let variables = "/usr/share/OVMF/OVMF_VARS_4M.fd".into();
        assert_eq!(Firmware::find_in(X86_64, both), Some(Firmware::Split { code, variables }));
        let half = only(&["/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/ovmf/OVMF.fd"]);
        assert_eq!(Firmware::find_in(X86_64, half), Some(Firmware::Combined("/usr/share/ovmf/OVMF.fd".into())));
        assert_eq!(Firmware::find_in(X86_64, only(&[])), None);
    }
}
