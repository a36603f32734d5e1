# Completion of `git kv …` for bash: source this file behind git's own completion, which calls _git_kv for us.
# Keys are completed from the local replica, without the network, at most 200 of them.

_git_kv_keys ()
{
	local ns="$1" i before
	__gitcomp_nl "$(git kv --ns "$ns" list --read-from=local --limit 200 ${cur:+--prefix "$cur"} 2>/dev/null)"
	# bash takes a colon for the end of a word and keeps what stands before it.
	if [[ "$cur" == *:* && "$COMP_WORDBREAKS" == *:* ]]; then
		before="${cur%"${cur##*:}"}"
		for i in "${!COMPREPLY[@]}"; do COMPREPLY[i]="${COMPREPLY[i]#"$before"}"; done
	fi
}

_git_kv ()
{
	local commands="init remote get set del mset cas list history diff log verify wait stargate help"
	local word verb="" ns="main" previous=""
	for word in "${words[@]:2:$((cword - 2))}"; do
		[ "$previous" = --ns ] && ns="$word"
		case "$previous,$word" in
		--ns,*|-C,*|*,-*) ;;
		*) [ -z "$verb" ] && verb="$word" ;;
		esac
		previous="$word"
	done
	case "$verb,$cur" in
	,-*) __gitcomp "--ns --json -C --debug --version --help" ;;
	,*) __gitcomp "$commands" ;;
	help,*) __gitcomp "$commands" ;;
	remote,-*) __gitcomp "--remote" ;;
	remote,*) __gitcomp "setup" ;;
	stargate,*) __gitcomp "init serve" ;;
	get,-*) __gitcomp "--output --at --read-from= --allow-expired --json" ;;
	set,-*) __gitcomp "--file --ctype --ttl --if-absent --if-match --expect-tree --message --json" ;;
	cas,-*) __gitcomp "--expect-blob --expect-tree --ctype --ttl --message --json" ;;
	del,-*) __gitcomp "--missing-ok --message --json" ;;
	mset,-*) __gitcomp "--file --message --json" ;;
	list,-*) __gitcomp "--prefix --long --limit --after --at --read-from= --json" ;;
	history,-*|log,-*) __gitcomp "--limit --json" ;;
	diff,-*) __gitcomp "--prefix --json" ;;
	verify,-*) __gitcomp "--from --to --anchor --json" ;;
	wait,-*) __gitcomp "--oid --visible-on= --timeout --json" ;;
	get,*|set,*|del,*|history,*) _git_kv_keys "$ns" ;;
	cas,*) [ "$previous" = cas ] && __gitcomp "set" || _git_kv_keys "$ns" ;;
	esac
}
