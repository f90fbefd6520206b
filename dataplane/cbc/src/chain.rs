//! Chains of blocks (SP 800-38A §6.2).

use aes::cipher::array::Array;
use aes::cipher::consts::U16;
use aes::cipher::{BlockCipherDecrypt, BlockCipherEncrypt, BlockModeDecrypt, BlockModeEncrypt, InnerIvInit};

use crate::key::{DecryptionKey, EncryptionKey, InverseSchedule, Schedule};
#[cfg(target_arch = "x86_64")]
use crate::low::zmm;
use crate::{BLOCK, BURST};

/// Blocks to encrypt in place, behind their IV.
#[derive(Debug)]
pub struct Chain<'a> {
    pub(crate) key: &'a EncryptionKey,
    pub(crate) iv: [u8; BLOCK],
    pub(crate) blocks: &'a mut [[u8; BLOCK]],
}

impl<'a> Chain<'a> {
    /// `text` of whole blocks behind an `iv` that is in no relation to any other; `None` if a part of a block is left.
    #[inline]
    pub fn new(key: &'a EncryptionKey, iv: [u8; BLOCK], text: &'a mut [u8]) -> Option<Chain<'a>> {
        match text.as_chunks_mut() {
            (blocks, []) => Some(Chain { key, iv, blocks }),
            _ => None,
        }
    }
}

/// Encrypts every chain in place. Keys may be mixed freely. Allocates nothing.
pub fn encrypt_burst(chains: &mut [Chain<'_>]) {
    for burst in chains.chunks_mut(BURST) {
        #[cfg(target_arch = "x86_64")]
        zmm::encrypt(burst);
        for Chain { key, iv, blocks } in burst {
            match &key.0 {
                #[cfg(target_arch = "x86_64")]
                Schedule::Vaes512(..) => {}
                Schedule::Aes128(cipher) => encrypt_with(cipher, iv, blocks),
                Schedule::Aes192(cipher) => encrypt_with(cipher, iv, blocks),
                Schedule::Aes256(cipher) => encrypt_with(cipher, iv, blocks),
            }
        }
    }
}

/// Decrypts `text` of whole blocks behind their `iv` in place; `None`, and nothing done, if a part of a block is left.
/// Allocates nothing.
pub fn decrypt(key: &DecryptionKey, iv: &[u8; BLOCK], text: &mut [u8]) -> Option<()> {
    let (blocks, []) = text.as_chunks_mut() else { return None };
    match &key.0 {
        #[cfg(target_arch = "x86_64")]
        InverseSchedule::Vaes512(cpu, keys) => zmm::decrypt(*cpu, keys, iv, blocks),
        InverseSchedule::Aes128(cipher) => decrypt_with(cipher, iv, blocks),
        InverseSchedule::Aes192(cipher) => decrypt_with(cipher, iv, blocks),
        InverseSchedule::Aes256(cipher) => decrypt_with(cipher, iv, blocks),
    }
    Some(())
}

fn encrypt_with<C: BlockCipherEncrypt<BlockSize = U16>>(
    cipher: &C,
    iv: &[u8; BLOCK],
    blocks: &mut [[u8; BLOCK]],
) {
    let (blocks, _) = Array::slice_as_chunks_mut(blocks.as_flattened_mut());
    cbc::Encryptor::inner_iv_init(cipher, &Array::from(*iv)).encrypt_blocks(blocks);
}

fn decrypt_with<C: BlockCipherDecrypt<BlockSize = U16>>(
    cipher: &C,
    iv: &[u8; BLOCK],
    blocks: &mut [[u8; BLOCK]],
) {
    let (blocks, _) = Array::slice_as_chunks_mut(blocks.as_flattened_mut());
    cbc::Decryptor::inner_iv_init(cipher, &Array::from(*iv)).decrypt_blocks(blocks);
}
