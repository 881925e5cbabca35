//! The currencies of the world: the codes of ISO 4217 that are money today. Funds, metals and codes for tests are left out.

/// What is said of a text that is none of them.
pub const NOT_ONE: &str = "must be a currency of ISO 4217, three capital letters such as CHF";

/// Sorted.
const CODES: &str = "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CLP CNY \
                     COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF \
                     IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA \
                     MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON \
                     RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS \
                     UAH UGX USD UYU UZS VED VES VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG";
const STEP: usize = 4;

/// Says whether a text is the code of a currency.
pub fn is_known(code: &str) -> bool {
    let place = |at: usize| &CODES.as_bytes()[at * STEP..at * STEP + 3];
    let (mut low, mut high) = (0, CODES.len().div_ceil(STEP));
    if code.len() != 3 {
        return false;
    }
    while low < high {
        let middle = usize::midpoint(low, high);
        match place(middle).cmp(code.as_bytes()) {
            std::cmp::Ordering::Equal => return true,
            std::cmp::Ordering::Less => low = middle + 1,
            std::cmp::Ordering::Greater => high = middle,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_and_every_code_is_found() {
        let codes: Vec<&str> = CODES.split(' ').collect();
        assert!(codes.is_sorted());
        assert_eq!(codes.join(" "), CODES);
        assert!(codes.iter().all(|code| code.len() == 3 && is_known(code)));
    }

    #[test]
    fn what_is_no_currency_is_none() {
        for wrong in ["", "chf", "CH", "CHFF", "XXX", "XTS", "XAU", "ZZZ", "AAA", "C F", "DM", "BGN"] {
            assert!(!is_known(wrong), "{wrong}");
        }
    }
}
