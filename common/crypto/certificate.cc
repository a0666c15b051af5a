#include "common/crypto/certificate.h"

#include <arpa/inet.h>
#include <openssl/pem.h>

#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/base/bytes.h"
#include "common/base/files.h"
#include "common/crypto/certificate_memo.h"
#include "common/crypto/digest.h"
#include "common/crypto/openssl_handles.h"

namespace tributary::crypto {
namespace {

std::string DerOf(const X509* x509) {
  unsigned char* data = nullptr;
  const int length = i2d_X509(x509, &data);
  TRB_CHECK(length > 0);
  std::string out(reinterpret_cast<const char*>(data), static_cast<size_t>(length));
  OPENSSL_free(data);
  return out;
}

std::string PemOf(X509* x509) {
  const BioPtr bio = WritingBio();
  TRB_CHECK(PEM_write_bio_X509(bio.get(), x509) == 1);
  return Contents(bio.get());
}

std::string SerialOf(const X509* x509) {
  const BigNumberPtr number(ASN1_INTEGER_to_BN(X509_get0_serialNumber(x509), nullptr));
  TRB_CHECK(number != nullptr);
  char* text = BN_bn2hex(number.get());
  TRB_CHECK(text != nullptr);
  std::string out = absl::AsciiStrToLower(text);
  OPENSSL_free(text);
  const size_t first = out.find_first_not_of('0');
  return first == std::string::npos ? "0" : out.substr(first);
}

std::optional<absl::Time> TimeOf(const ASN1_TIME* time) {
  std::tm tm{};
  if (ASN1_TIME_to_tm(time, &tm) != 1) return std::nullopt;
  return absl::FromTM(tm, absl::UTCTimeZone());
}

std::string CommonNameOf(const X509* x509) {
  char text[128] = {};
  const int length = X509_NAME_get_text_by_NID(X509_get_subject_name(x509), NID_commonName, text, sizeof text);
  return length > 0 ? std::string(text, static_cast<size_t>(length)) : std::string();
}

std::string Text(const ASN1_STRING* s) {
  return std::string(reinterpret_cast<const char*>(ASN1_STRING_get0_data(s)),
                     static_cast<size_t>(ASN1_STRING_length(s)));
}

std::string AddressText(const ASN1_STRING* s) {
  char text[INET6_ADDRSTRLEN] = {};
  const int family = ASN1_STRING_length(s) == 4 ? AF_INET : AF_INET6;
  if (family == AF_INET6 && ASN1_STRING_length(s) != 16) return "";
  return inet_ntop(family, ASN1_STRING_get0_data(s), text, sizeof text) == nullptr ? "" : text;
}

void ReadAlternativeNames(CertificateHandle* out) {
  const NamesPtr names(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(out->x509.get(), NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; names != nullptr && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type == GEN_URI) out->uris.push_back(Text(name->d.uniformResourceIdentifier));
    if (name->type == GEN_DNS) out->dns_names.push_back(Text(name->d.dNSName));
    if (name->type == GEN_IPADD) out->ip_addresses.push_back(AddressText(name->d.iPAddress));
  }
}

absl::StatusOr<Certificate> Read(X509Ptr x509) {
  if (x509 == nullptr) return absl::InvalidArgumentError("this is no certificate");
  if (!IsP256(X509_get0_pubkey(x509.get()))) return absl::InvalidArgumentError("this certificate's key is not P-256");
  const auto not_before = TimeOf(X509_get0_notBefore(x509.get()));
  const auto not_after = TimeOf(X509_get0_notAfter(x509.get()));
  if (!not_before || !not_after) return absl::InvalidArgumentError("this certificate's times cannot be read");
  auto out = std::make_shared<CertificateHandle>();
  out->x509 = std::move(x509);
  out->pem = PemOf(out->x509.get());
  out->sha256 = Sha256Hex(DerOf(out->x509.get()));
  out->serial = SerialOf(out->x509.get());
  out->common_name = CommonNameOf(out->x509.get());
  out->not_before = *not_before;
  out->not_after = *not_after;
  ReadAlternativeNames(out.get());
  ForgetOpenSslErrors();
  return Certificate(std::move(out));
}

}  // namespace

absl::StatusOr<Certificate> Certificate::FromPem(std::string_view pem) {
  if (pem.size() > kMaxCertificatePemBytes) return absl::InvalidArgumentError("this is no certificate: it is too long");
  static CertificateMemo* const memo = new CertificateMemo;  // never destroyed: other threads may still read
  if (const std::optional<Certificate> known = memo->Find(pem); known.has_value()) return *known;
  const BioPtr bio = ReadingBio(pem);
  X509Ptr x509(bio == nullptr ? nullptr : PEM_read_bio_X509(bio.get(), nullptr, NoPassPhrase, nullptr));
  ForgetOpenSslErrors();
  absl::StatusOr<Certificate> certificate = Read(std::move(x509));
  if (certificate.ok()) memo->Keep(pem, *certificate);
  return certificate;
}

absl::StatusOr<std::vector<Certificate>> Certificate::AllFromPem(std::string_view pem, size_t most) {
  constexpr std::string_view kBegin = "-----BEGIN CERTIFICATE-----";
  std::vector<Certificate> out;
  for (size_t at = pem.find(kBegin); at != std::string_view::npos;) {
    const size_t next = pem.find(kBegin, at + kBegin.size());
    if (out.size() == most)
      return absl::InvalidArgumentError(absl::StrCat("there are more than ", most, " certificates"));
    TRB_ASSIGN_OR_RETURN(Certificate one, FromPem(pem.substr(at, next - at)));
    out.push_back(std::move(one));
    at = next;
  }
  return out;
}

absl::StatusOr<Certificate> Certificate::FromDer(std::string_view der) {
  const auto* cursor = reinterpret_cast<const unsigned char*>(der.data());
  X509Ptr x509(der.size() > kMaxCertificatePemBytes ? nullptr
                                                    : d2i_X509(nullptr, &cursor, static_cast<long>(der.size())));
  ForgetOpenSslErrors();
  // Bytes after the end would give one certificate two spellings.
  if (x509 != nullptr && cursor != reinterpret_cast<const unsigned char*>(der.data()) + der.size()) x509 = nullptr;
  return Read(std::move(x509));
}

absl::StatusOr<Certificate> Certificate::Load(const std::string& path) {
  TRB_ASSIGN_OR_RETURN(const std::string pem, ReadFile(path, kMaxCertificatePemBytes));
  auto certificate = FromPem(pem);
  if (!certificate.ok()) return Annotate(certificate.status(), path);
  return certificate;
}

const std::string& Certificate::pem() const { return handle_->pem; }
std::string Certificate::ToDer() const { return DerOf(handle_->x509.get()); }
const std::string& Certificate::sha256() const { return handle_->sha256; }
const std::string& Certificate::serial() const { return handle_->serial; }
const std::string& Certificate::common_name() const { return handle_->common_name; }
absl::Time Certificate::not_before() const { return handle_->not_before; }
absl::Time Certificate::not_after() const { return handle_->not_after; }
const std::vector<std::string>& Certificate::uris() const { return handle_->uris; }
const std::vector<std::string>& Certificate::dns_names() const { return handle_->dns_names; }
const std::vector<std::string>& Certificate::ip_addresses() const { return handle_->ip_addresses; }

PublicKey Certificate::public_key() const {
  PkeyPtr key(X509_get_pubkey(handle_->x509.get()));
  TRB_CHECK(key != nullptr);
  return PublicKey(std::make_shared<const KeyHandle>(KeyHandle{std::move(key)}));
}

bool Certificate::Certifies(const PrivateKey& key) const { return public_key() == key.public_key(); }

bool Certificate::IssuedBy(const Certificate& issuer) const {
  X509* const parent = issuer.handle_->x509.get();
  const bool good = X509_check_issued(parent, handle_->x509.get()) == X509_V_OK && X509_check_ca(parent) == 1 &&
                    X509_verify(handle_->x509.get(), X509_get0_pubkey(parent)) == 1;
  ForgetOpenSslErrors();
  return good;
}

absl::Time RenewalDue(const Certificate& certificate) {
  const absl::Duration life = certificate.not_after() - certificate.not_before();
  const double jitter = LoadLe32(Sha256("tributary/renewal/" + certificate.sha256()).data()) / 4294967296.0;
  return certificate.not_before() + life * (2.0 / 3.0 + jitter / 10.0);
}

}  // namespace tributary::crypto
